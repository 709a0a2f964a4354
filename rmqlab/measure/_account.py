"""What recorders saw, put together by message, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmqlab.measure._recorders import (
    ACKED,
    CONSUMED,
    NACKED,
    PUBLISHED,
    REJECTED,
    REQUEUED,
    RETURNED,
    ConsumeRecorder,
    PublishRecorder,
    Table,
)

# 48 bytes a message.
MESSAGE = np.dtype(
    [
        ("number", np.int64),
        ("published_ns", np.int64),
        ("confirmed_ns", np.int64),
        ("delivered_ns", np.int64),
        ("settled_ns", np.int64),
        ("deliveries", np.uint32),
        ("consumer", np.int16),
        ("outcome", np.uint8),
        ("flags", np.uint8),
    ]
)

# 28 bytes a delivery: what a recorder wrote, and whose it was.
DELIVERY = np.dtype([*CONSUMED.descr, ("consumer", np.int16)])


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in a run, in counts. Messages that are not of the run count as nothing.

    Attributes:
        published: messages handed to the broker.
        confirmed: messages that the broker confirmed, those that it returned included.
        nacked: messages that the broker refused.
        returned: messages that came back, as no queue was there for them.
        received: deliveries.
        unique: messages delivered at least once.
        redelivered: deliveries that the broker flagged as possible repetitions.
        duplicated: messages delivered more than once.
        acked: deliveries acknowledged.
        rejected: deliveries rejected: dropped, or dead-lettered.
        requeued: deliveries put back into their queue.
        lost_confirmed: confirmed, not returned, and not delivered (so far).
        lost_unconfirmed: published, neither confirmed nor nacked nor returned, and not
            delivered (so far).

    A message that waits in its queue is not delivered so far: `lost_confirmed` and
    `lost_unconfirmed` are what their names say once the queue is empty.
    """

    published: int
    confirmed: int
    nacked: int
    returned: int
    received: int
    unique: int
    redelivered: int
    duplicated: int
    acked: int
    rejected: int
    requeued: int
    lost_confirmed: int
    lost_unconfirmed: int


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """The outcome of each message of a run, as arrays.

    Times are nanoseconds of the ledger's clock; 0 stands for never.

    Attributes:
        messages: one row a published message, whose place is its number: number, published_ns,
            confirmed_ns, delivered_ns (first), settled_ns (last), deliveries, consumer (place
            in `consumers` of the last to be handed it; -1 is none), outcome (the highest of
            ACKED, REJECTED, REQUEUED that a delivery had, or 0), flags (of NACKED, RETURNED).
        deliveries: one row a delivery of these, in the order of time: delivered_ns, settled_ns,
            outcome, redelivered (1 if flagged), number, consumer.
        consumers: names.
    """

    messages: Table
    deliveries: Table
    consumers: tuple[str, ...]

    @classmethod
    def of(cls, publisher: PublishRecorder | None, consumers: Sequence[ConsumeRecorder]) -> Account:
        """Put together what recorders saw."""
        # In this order: while recorders write, what was delivered has been published, too.
        deliveries = _deliveries(consumers)
        messages = _messages(np.zeros(0, PUBLISHED) if publisher is None else publisher.rows())
        number = deliveries["number"]
        deliveries = deliveries[(number >= 0) & (number < len(messages))]
        _add_deliveries(messages, deliveries)
        return cls(messages, deliveries, tuple(each.name for each in consumers))

    def totals(self) -> Totals:
        """Count what happened."""
        messages, outcome = self.messages, self.deliveries["outcome"]
        is_confirmed = messages["confirmed_ns"] > 0
        is_undelivered = messages["deliveries"] == 0
        is_returned = (messages["flags"] & RETURNED) > 0
        is_answered = is_confirmed | (messages["flags"] > 0)
        return Totals(
            published=len(messages),
            confirmed=_count(is_confirmed),
            nacked=_count(messages["flags"] & NACKED),
            returned=_count(is_returned),
            received=len(outcome),
            unique=_count(~is_undelivered),
            redelivered=_count(self.deliveries["redelivered"]),
            duplicated=_count(messages["deliveries"] > 1),
            acked=_count(outcome == ACKED),
            rejected=_count(outcome == REJECTED),
            requeued=_count(outcome == REQUEUED),
            lost_confirmed=_count(is_confirmed & ~is_returned & is_undelivered),
            lost_unconfirmed=_count(~is_answered & is_undelivered),
        )


def _messages(seen: Table) -> Table:
    """Make one row a published message."""
    messages = np.zeros(len(seen), MESSAGE)
    messages["number"] = np.arange(len(seen))
    messages["published_ns"] = seen["published_ns"]
    messages["confirmed_ns"] = np.where(seen["flags"] & NACKED, 0, seen["answered_ns"])
    messages["consumer"] = -1
    messages["flags"] = seen["flags"]
    return messages


def _deliveries(consumers: Sequence[ConsumeRecorder]) -> Table:
    """Put all deliveries in the order of time."""
    parts = [np.zeros(0, DELIVERY)]
    for place, each in enumerate(consumers):
        seen = each.rows()
        rows = np.zeros(len(seen), DELIVERY)
        rows[list(CONSUMED.names or ())] = seen
        rows["consumer"] = place
        parts.append(rows)
    deliveries = np.concatenate(parts)
    return deliveries[np.argsort(deliveries["delivered_ns"], kind="stable")]


def _add_deliveries(messages: Table, deliveries: Table) -> None:
    """Note in the messages what their deliveries say."""
    place = deliveries["number"]
    messages["deliveries"] = np.bincount(place, minlength=len(messages))
    # Of several values assigned to one place, numpy keeps the last.
    messages["consumer"][place] = deliveries["consumer"]
    messages["delivered_ns"][place[::-1]] = deliveries["delivered_ns"][::-1]
    for field in ("settled_ns", "outcome"):
        np.maximum.at(messages[field], place, deliveries[field])


def _count(flags: npt.NDArray[np.generic]) -> int:
    return int(np.count_nonzero(flags))
