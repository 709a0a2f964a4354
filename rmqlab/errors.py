"""The errors that rmqlab raises: a small tree under `RmqlabError`."""

from __future__ import annotations

import traceback

NOT_FOUND = 404  # AMQP's reply code


class RmqlabError(Exception):
    """Base of every error of this package: one sentence, and the next step.

    Attributes:
        problem: what is wrong, in one sentence without its full stop.
        next_step: what to do about it; empty where there is nothing to say.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.problem, _, self.next_step = message.partition(". Next: ")

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: the sentence, and the line of the cell, without our own stack."""
        stack = traceback.extract_tb(self.__traceback__)
        cells = [each for each in stack if "ipython" in each.filename or "ipykernel" in each.filename]
        lines = [f"  line {each.lineno} of the cell: {each.line}" for each in cells if each.line]
        return [f"{type(self).__name__}: {self}", *lines[:1]]


class AddressError(RmqlabError):
    """An AMQP URL, or another setting, that cannot be right as it is written."""


class BrokerError(RmqlabError):
    """A broker that was reached, or started, and then did not do what it should."""


class BrokerUnavailableError(BrokerError):
    """No broker could be reached or started."""


class BrokerRefusedError(BrokerUnavailableError):
    """A broker that answers and refuses our credentials: to try again changes nothing."""


class BrokerEndedError(BrokerUnavailableError):
    """A broker that ended while it was being started; a second start may well succeed."""


class ChannelClosedError(BrokerError):
    """The broker refused something, and closed the channel.

    Attributes:
        reply_code: AMQP's code: 404 not found, 406 precondition failed, and so on.
        reply_text: the broker's own words.
    """

    def __init__(self, reply_code: int, reply_text: str, who: str) -> None:
        self.reply_code = reply_code
        self.reply_text = reply_text
        self._who = who
        next_step = "correct what the broker names"
        if reply_code == NOT_FOUND:
            next_step = "declare what it names, or correct the name"
        elif "size" in reply_text:
            next_step = "send smaller messages, or raise the broker's max_message_size"
        super().__init__(f"The broker closed the channel of {who}: {reply_text}. Next: {next_step}")

    def __reduce__(self) -> tuple[type[ChannelClosedError], tuple[int, str, str]]:
        # Otherwise one raised in another process could not be read in this one.
        return type(self), (self.reply_code, self.reply_text, self._who)


class ConnectionLostError(BrokerError):
    """A connection that was open, and is so no more."""


class ConsumerCancelledError(BrokerError):
    """The broker has ended a consumer: its queue was deleted, or is on a node that went down."""


class StoppedError(BrokerError):
    """What was under way when somebody said stop, and so was not brought to its end."""


class TimeLimitError(BrokerError):
    """Something was waited for as long as was allowed, and did not happen."""


class FaultError(BrokerError):
    """Something was to be broken that is not ours to break, or is not there."""


class ManagementError(BrokerError):
    """The management HTTP API is not there, or refused what was asked."""


class NameTakenError(BrokerError):
    """A queue or an exchange that the lab did not make has the name that it would use."""


class ClassroomError(BrokerError):
    """A classroom cannot be made, shown or taken away."""


class RejectError(RmqlabError):
    """Raised by a consumer's work to say that a message is to be rejected, and not requeued."""


class InvalidMessageError(RmqlabError):
    """A message body that is not a task, or not an event."""


class DataError(RmqlabError):
    """A data file that is missing or cannot be read as what it should be."""


class LedgerError(RmqlabError):
    """A ledger that was told what cannot have happened, or whose parts do not fit together."""


class LessonError(RmqlabError):
    """A notebook that is missing, or that failed while it was executed."""


class TopologyMismatchError(BrokerError):
    """An exchange or a queue that the broker has, with other settings than those wanted."""
