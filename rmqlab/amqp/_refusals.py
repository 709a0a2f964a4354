"""What a broker says when it refuses to declare or to delete something, in a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from pika import exceptions as amqp_errors

from rmqlab.errors import BrokerError, ChannelClosedError, TopologyMismatchError

# The fields that travel as arguments, by RabbitMQ's names for those.
ARGUMENTS = {
    "alternate-exchange": "alternate_exchange",
    "x-queue-type": "type",
    "x-dead-letter-exchange": "dead_letter_exchange",
    "x-dead-letter-routing-key": "dead_letter_routing_key",
    "x-message-ttl": "message_ttl_ms",
    "x-expires": "expires_ms",
    "x-max-length": "max_length",
    "x-max-length-bytes": "max_length_bytes",
    "x-overflow": "overflow",
    "x-max-priority": "max_priority",
    "x-single-active-consumer": "single_active_consumer",
    "x-delivery-limit": "delivery_limit",
}
# The broker cuts its text after 255 bytes, so that all but the argument may be missing.
INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>.*?)' ?for (?:.* but current is (?P<found>.+))?", re.DOTALL
)
TYPED_VALUE = re.compile(r"the value '(.*)' of type '([^']*)'", re.DOTALL)
WHOLE_NUMBER = re.compile(r"-?\d+")
MAX_TEXT_BYTES = 255
PRECONDITION_FAILED, RESOURCE_LOCKED = 406, 405  # AMQP's reply codes

Refusal: TypeAlias = (
    amqp_errors.ChannelClosedByBroker | amqp_errors.ConnectionClosedByBroker | ChannelClosedError
)


@contextlib.contextmanager
def step(verb: Literal["declare", "delete"], what: object, done: list[str]) -> Iterator[None]:
    """Turn the broker's refusal into an error that says of what, why, and what was done before.

    Args:
        verb: what is being done.
        what: an exchange, a queue or a binding.
        done: what was done before, in words; this is added to it.
    """
    it = str(what)
    try:
        yield
    except (
        amqp_errors.ChannelClosedByBroker,
        amqp_errors.ConnectionClosedByBroker,
        ChannelClosedError,
    ) as error:
        before = f"; {verb}d before it: {', '.join(done)}" if done else f"; nothing was {verb}d before it"
        mismatch = _mismatch(what, it, error, before) if verb == "declare" else None
        if mismatch:
            raise mismatch from error
        advice = (
            "correct the setting that it names"
            if error.reply_code == PRECONDITION_FAILED
            else "see that the user may do so, and that what it refers to is there"
        )
        raise BrokerError(
            f"The broker refuses to {verb} the {it} ({error.reply_text}){before}. Next: {advice}"
        ) from error
    except (amqp_errors.ShortStringTooLong, amqp_errors.UnsupportedAMQPFieldException) as error:
        raise ValueError(
            f"The {it} cannot be sent to a broker ({error!r}); names and keys have up to {MAX_TEXT_BYTES} "
            "bytes, and values are texts, numbers, bools, dates, lists and dictionaries of those"
        ) from error
    except amqp_errors.AMQPError as error:
        before = f"; {verb}d before it: {', '.join(done)}" if done else ""
        raise BrokerError(
            f"The broker was lost while the {it} was being {verb}d ({error!r}){before}. "
            "Next: see that the broker runs, and call this again"
        ) from error
    done.append(it)


def _mismatch(what: Any, it: str, error: Refusal, before: str) -> TopologyMismatchError | None:
    """Read from the broker's words which setting differs; None if they are about something else."""
    advice = "Next: delete it, or describe it as the broker has it"
    if hasattr(what, "exclusive") and error.reply_code == RESOURCE_LOCKED:
        has = "True" if not what.exclusive else "False, or True for another connection"
        return TopologyMismatchError(
            f"The {it} has exclusive {has} on the broker, and not {what.exclusive}{before}. {advice}",
            name=what.name,
            field="exclusive",
            wanted=what.exclusive,
            found=True if not what.exclusive else None,
        )
    read = INEQUIVALENT.search(error.reply_text or "")
    if read is None or not hasattr(what, "durable"):
        return None
    argument = read["argument"]
    name = ARGUMENTS.get(argument, argument)
    known = name in {each.name for each in dataclasses.fields(what)}
    wanted = getattr(what, name) if known else what.arguments.get(argument)
    found = read["found"]
    if found is None or (found.endswith("...") and len(error.reply_text.encode()) >= MAX_TEXT_BYTES):
        found_value, found_text = None, f"another {name} on the broker than {wanted!r}"
    else:
        found_value = _read(found, name, wanted)
        found_text = f"{name} {found_value!r} on the broker, and not {wanted!r}"
    return TopologyMismatchError(
        f"The {it} has {found_text}{before}. {advice}",
        name=what.name,
        field=name,
        wanted=wanted,
        found=found_value,
    )


def _read(text: str, name: str, wanted: object) -> object:
    """Read a value as the broker writes it: `none`, `'5'`, or with its AMQP type."""
    if text == "none":
        return {"type": "classic", "single_active_consumer": False}.get(name)
    typed = TYPED_VALUE.fullmatch(text)
    value, kind = typed.groups() if typed else (text.removeprefix("'").removesuffix("'"), "")
    if (kind == "bool" or isinstance(wanted, bool)) and value in ("true", "false"):
        return value == "true"
    is_number = isinstance(wanted, int) or kind not in ("", "longstr")
    return int(value) if is_number and WHOLE_NUMBER.fullmatch(value) else value
