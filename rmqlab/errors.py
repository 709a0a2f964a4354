"""The errors that rmqlab raises: a small tree under `RmqlabError`."""

from __future__ import annotations

__all__ = [
    "AddressError",
    "BrokerEndedError",
    "BrokerError",
    "BrokerUnavailableError",
    "DataError",
    "InvalidTaskError",
    "LessonError",
    "ManagementError",
    "RmqlabError",
]


class RmqlabError(Exception):
    """Base of every error of this package: one sentence, and the next step."""

    def _render_traceback_(self) -> list[str]:
        """Tell IPython to show the sentence and not the stack above it."""
        return [f"{type(self).__name__}: {self}"]


class AddressError(RmqlabError):
    """An AMQP URL, or another setting, that cannot be right as it is written."""


class BrokerError(RmqlabError):
    """A broker that was reached, or started, and then did not do what it should."""


class BrokerUnavailableError(BrokerError):
    """No broker could be reached or started."""


class BrokerEndedError(BrokerUnavailableError):
    """A broker that ended while it was being started; a second start may well succeed."""


class ManagementError(BrokerError):
    """The management HTTP API is not there, or refused what was asked."""


class InvalidTaskError(RmqlabError):
    """A message body that is not a task."""


class DataError(RmqlabError):
    """A data file that is missing or cannot be read as what it should be."""


class LessonError(RmqlabError):
    """A notebook that is missing, or that failed while it was executed."""
