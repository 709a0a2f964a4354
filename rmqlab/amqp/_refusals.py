"""What a broker says when it refuses to declare or to delete something, in a sentence."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from pika import exceptions as amqp_errors

from rmqlab.amqp._definitions import Binding, Exchange, Queue
from rmqlab.errors import BrokerError, ChannelClosedError, TopologyMismatchError

# The broker cuts its text after 255 bytes, so that all but the argument may be missing.
INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>.*?)'"
    r"(?:.* but current is (?:the value )?'(?P<found>.*?)'(?: of type .*)?$)?",
    re.DOTALL,
)
PRECONDITION_FAILED, RESOURCE_LOCKED = 406, 405  # AMQP's reply codes

REFUSALS = (
    amqp_errors.ChannelClosedByBroker,
    amqp_errors.ConnectionClosedByBroker,
    ChannelClosedError,
)
Refusal: TypeAlias = (
    amqp_errors.ChannelClosedByBroker | amqp_errors.ConnectionClosedByBroker | ChannelClosedError
)


@contextlib.contextmanager
def step(
    verb: Literal["declare", "delete"], what: Exchange | Queue | Binding, done: list[str]
) -> Iterator[None]:
    """Turn the broker's refusal into an error that names the object, the reason, and the steps before."""
    before = f"{verb}d before it: {', '.join(done) or 'nothing'}"
    try:
        yield
    except REFUSALS as error:
        if not isinstance(what, Binding) and (field := _different_field(what, error)):
            raise _mismatch(what, field, error, before) from error
        advice = (
            "correct the setting that it names"
            if error.reply_code == PRECONDITION_FAILED
            else "see that the user may do so, and that what it refers to is there"
        )
        raise BrokerError(
            f"The broker refuses to {verb} the {what} ({error.reply_text}); {before}. Next: {advice}"
        ) from error
    except (amqp_errors.ShortStringTooLong, amqp_errors.UnsupportedAMQPFieldException) as error:
        raise ValueError(
            f"The {what} cannot be sent to a broker ({error!r}); names and keys have up to 255 bytes, "
            "and values are strings, numbers, bools, dates, lists and dictionaries of those"
        ) from error
    except amqp_errors.AMQPError as error:
        raise BrokerError(
            f"The broker was lost while the {what} was being {verb}d ({error!r}); {before}. "
            "Next: see that the broker runs, and call this again"
        ) from error
    done.append(str(what))


def _different_field(what: Exchange | Queue, error: Refusal) -> str:
    """Return the setting that the broker has with another value; empty if it refuses for another reason."""
    if error.reply_code == RESOURCE_LOCKED:
        return "exclusive"
    if read := INEQUIVALENT.search(error.reply_text):
        names = {key: name for name, key in what.argument_names.items()}
        return names.get(read["argument"], read["argument"])
    return ""


def _mismatch(what: Exchange | Queue, field: str, error: Refusal, before: str) -> TopologyMismatchError:
    wanted = getattr(what, field, what.arguments.get(field))
    read = INEQUIVALENT.search(error.reply_text)
    return TopologyMismatchError(
        f"The broker has the {what} with another {field} than {wanted!r} ({error.reply_text}); {before}. "
        "Next: delete it, or describe it as the broker has it",
        name=what.name,
        field=field,
        wanted=wanted,
        found=read["found"] if read else None,
    )
