"""What a broker says when it refuses to declare or to delete something, in a sentence."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

from rmqlab.amqp._definitions import Binding, Exchange, Queue
from rmqlab.broker._connection import PRECONDITION_FAILED, RESOURCE_LOCKED
from rmqlab.errors import BrokerError, ChannelClosedError, TopologyMismatchError

# The broker cuts its text after 255 bytes, so that all but the argument may be missing.
INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>.*?)'"
    r"(?:.* but current is (?:the value )?'(?P<found>.*?)'(?: of type .*)?$)?",
    re.DOTALL,
)


@contextlib.contextmanager
def step(
    verb: Literal["declare", "delete"], what: Exchange | Queue | Binding, done: list[str]
) -> Iterator[None]:
    """Turn the broker's refusal into an error that names the object, the reason, and the steps before."""
    try:
        yield
    except ChannelClosedError as error:
        before = f"{verb}d before it: {', '.join(done) or 'nothing'}"
        if not isinstance(what, Binding) and (mismatch := _mismatch(what, error, before)):
            raise mismatch from error
        advice = (
            "correct the setting that it names"
            if error.reply_code == PRECONDITION_FAILED
            else "see that the user may do so, and that what it refers to is there"
        )
        raise BrokerError(
            f"The broker refuses to {verb} the {what} ({error.reply_text}); {before}. Next: {advice}"
        ) from error
    done.append(str(what))


def _mismatch(what: Exchange | Queue, error: ChannelClosedError, before: str) -> TopologyMismatchError | None:
    """Return an error that names the setting that differs; None if the broker refuses for another reason."""
    read = INEQUIVALENT.search(error.reply_text)
    if error.reply_code == RESOURCE_LOCKED:
        field = "exclusive"
    elif read:
        names = {key: name for name, key in what.argument_names.items()}
        field = names.get(read["argument"], read["argument"])
    else:
        return None
    wanted = getattr(what, field, what.arguments.get(field))
    return TopologyMismatchError(
        f"The broker has the {what} with another {field} than {wanted!r} ({error.reply_text}); {before}. "
        "Next: delete it, or describe it as the broker has it",
        name=what.name,
        field=field,
        wanted=wanted,
        found=read["found"] if read else None,
    )
