"""What recorders saw, put together by message, and counted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmqlab.errors import LedgerError
from rmqlab.measure._snapshots import (
    ACKED,
    NACKED,
    REDELIVERED,
    REJECTED,
    RETURNED,
    Consumed,
    Int64s,
    Published,
)

Table = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]

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

# 28 bytes a delivery.
DELIVERY = np.dtype(
    [
        ("number", np.int64),
        ("delivered_ns", np.int64),
        ("settled_ns", np.int64),
        ("consumer", np.int16),
        ("redelivered", np.uint8),
        ("outcome", np.uint8),
    ]
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in a run, in counts. A foreign message counts as nothing but foreign.

    Attributes:
        published: messages handed to the broker.
        confirmed: messages whose charge the broker took, those that it returned included.
        nacked: messages that the broker refused.
        returned: messages that came back, as no queue was there for them.
        received: deliveries.
        unique: messages delivered at least once.
        redelivered: deliveries that the broker flagged as possible repetitions.
        duplicated: messages delivered more than once.
        reordered: messages whose first delivery came after that of a higher number of the
            same publisher to the same consumer. (RabbitMQ promises an order from one
            channel through one queue to another channel, and none between consumers.)
        acked: deliveries acknowledged.
        rejected: deliveries rejected: dropped, or dead-lettered.
        requeued: deliveries put back into their queue.
        lost_confirmed: confirmed, not returned, and not delivered (so far).
        lost_unconfirmed: published, neither confirmed nor nacked nor returned, and not
            delivered (so far).
        foreign: deliveries and returns of messages that are not of this run.

    A message that waits in its queue is not delivered so far: `lost_confirmed` and
    `lost_unconfirmed` are what their names say once the queue is empty.

    Source: https://www.rabbitmq.com/docs/semantics#ordering
    """

    published: int
    confirmed: int
    nacked: int
    returned: int
    received: int
    unique: int
    redelivered: int
    duplicated: int
    reordered: int
    acked: int
    rejected: int
    requeued: int
    lost_confirmed: int
    lost_unconfirmed: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Account:
    """What became of each message of a run, as arrays.

    Times are nanoseconds of the ledger's clock; 0 stands for never.

    Attributes:
        messages: one row a message, in the order of numbers: number, published_ns,
            confirmed_ns, delivered_ns (first), settled_ns (last), deliveries, consumer (place
            in `consumers` of the last to be handed it; -1 is none), outcome (the highest of
            ACKED, REJECTED, REQUEUED that a delivery had, or 0), flags (of NACKED, RETURNED,
            REDELIVERED). 48 bytes each.
        deliveries: one row a delivery of these, in the order of time: number, delivered_ns,
            settled_ns, consumer, redelivered (1 if flagged), outcome. 28 bytes each.
        place: row in `messages` of each delivery's message.
        reordered: for each delivery, whether it is its message's first and came after that of
            a higher number of the same publisher to the same consumer.
        foreign: deliveries and returns of messages that are not of this run.
        consumers: names.
        publishers: names.
    """

    messages: Table
    deliveries: Table
    place: Int64s
    reordered: Mask
    foreign: int
    consumers: tuple[str, ...]
    publishers: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Account of {len(self.messages)} messages, {len(self.deliveries)} deliveries>"

    @classmethod
    def of(cls, published: Sequence[Published], consumed: Sequence[Consumed]) -> Account:
        """Put together what recorders saw.

        Without a publisher, all messages that consumers could identify are of the run.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        parts = sorted_ranges(published)
        starts = np.cumsum([0, *(len(part.published_ns) for part in parts[:-1])])
        publishers = tuple(dict.fromkeys(part.name for part in published))
        consumers = tuple(dict.fromkeys(part.name for part in consumed))
        foreign = sum(part.foreign for part in published)
        deliveries, unknown = _deliveries(consumed)
        messages = _published(parts) if published else _seen(deliveries)
        del parts, published, consumed  # a run of many messages has room for few copies
        place = _find(messages["number"], deliveries["number"])
        foreign += unknown + _count(place < 0)
        if (place < 0).any():
            deliveries, place = deliveries[place >= 0], place[place >= 0]
        is_first = _note_deliveries(messages, deliveries, place)
        return cls(
            messages,
            deliveries,
            place,
            reordered=_reordered(deliveries["consumer"], place, starts, is_first),
            foreign=foreign,
            consumers=consumers,
            publishers=publishers,
        )

    def totals(self) -> Totals:
        """Count what happened."""
        messages = self.messages
        outcomes = np.bincount(self.deliveries["outcome"], minlength=ACKED + 1)
        return Totals(
            published=_count(messages["published_ns"] > 0),
            confirmed=_count(messages["confirmed_ns"] > 0),
            nacked=_count(messages["flags"] & NACKED),
            returned=_count(messages["flags"] & RETURNED),
            received=len(self.deliveries),
            unique=_count(messages["deliveries"] > 0),
            redelivered=_count(self.deliveries["redelivered"]),
            duplicated=_count(messages["deliveries"] > 1),
            reordered=_count(self.reordered),
            acked=int(outcomes[ACKED]),
            rejected=int(outcomes[REJECTED]),
            requeued=int(len(self.deliveries) - outcomes[0] - outcomes[ACKED] - outcomes[REJECTED]),
            lost_confirmed=_count(_lost_confirmed(messages)),
            lost_unconfirmed=_count(_lost_unconfirmed(messages)),
            foreign=self.foreign,
        )


def sorted_ranges(published: Sequence[Published]) -> list[Published]:
    """Sort what publishers saw by their numbers, without those that published nothing.

    Raises:
        LedgerError: two publishers have the same numbers.
    """
    parts = sorted((part for part in published if len(part.published_ns)), key=lambda part: part.first)
    for part, following in itertools.pairwise(parts):
        if part.first + len(part.published_ns) > following.first:
            raise LedgerError(
                f"The publishers {part.name!r} and {following.name!r} both published the message "
                f"{following.first}. Next: give each publisher of a run numbers of its own, with `first`"
            )
    return parts


def _published(parts: Sequence[Published]) -> Table:
    """Make one row a published message."""
    messages = np.zeros(sum(len(part.published_ns) for part in parts), MESSAGE)
    messages["consumer"] = -1
    start = 0
    for part in parts:
        end = start + len(part.published_ns)
        rows = messages[start:end]
        rows["number"] = np.arange(part.first, part.first + len(rows))
        rows["published_ns"] = part.published_ns
        rows["confirmed_ns"] = np.where(part.flags & NACKED, 0, part.answered_ns)
        rows["flags"] = part.flags
        start = end
    return messages


def _seen(deliveries: Table) -> Table:
    """Make one row a message that was delivered, for a run whose publishing nobody recorded."""
    numbers = np.unique(deliveries["number"])
    messages = np.zeros(len(numbers), MESSAGE)
    messages["number"] = numbers
    messages["consumer"] = -1
    return messages


def _deliveries(consumed: Sequence[Consumed]) -> tuple[Table, int]:
    """Put all deliveries in the order of time; and count those that are foreign for sure."""
    names = list(dict.fromkeys(part.name for part in consumed))
    number = _write_buffer([part.number for part in consumed])
    delivered_ns = _write_buffer([part.delivered_ns for part in consumed])
    order = np.argsort(delivered_ns, kind="stable")
    order = order[number[order] >= 0]
    deliveries = np.empty(len(order), DELIVERY)
    deliveries["number"] = number[order]
    deliveries["delivered_ns"] = delivered_ns[order]
    deliveries["settled_ns"] = _write_buffer([part.settled_ns for part in consumed])[order]
    deliveries["redelivered"] = _write_buffer([part.redelivered for part in consumed])[order]
    deliveries["outcome"] = _write_buffer([part.outcome for part in consumed])[order]
    places = [np.full(len(part.number), names.index(part.name), np.int16) for part in consumed]
    deliveries["consumer"] = _write_buffer(places)[order]
    return deliveries, len(number) - len(order)


def _find(known: Int64s, numbers: Int64s) -> Int64s:
    """Return the place of each number among the known ones, which are sorted; -1 for none."""
    if not len(known):
        return np.full(len(numbers), -1)
    # A single range, as nearly always, needs no search.
    is_range = known[-1] - known[0] == len(known) - 1
    place = numbers - known[0] if is_range else np.searchsorted(known, numbers)
    place[(place < 0) | (place >= len(known))] = 0
    place[known[place] != numbers] = -1
    return place


def _note_deliveries(messages: Table, deliveries: Table, place: Int64s) -> Mask:
    """Fill in what deliveries say of messages; and say which deliveries are a message's first."""
    count = len(messages)
    messages["deliveries"] = np.bincount(place, minlength=count)
    # numpy keeps the last of several values assigned to one place.
    messages["consumer"][place] = deliveries["consumer"]
    first = np.zeros(count, np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    is_first: Mask = first[place] == np.arange(len(place))
    messages["delivered_ns"][place[is_first]] = deliveries["delivered_ns"][is_first]
    for field in ("settled_ns", "outcome"):
        values = np.zeros(count, MESSAGE[field])
        np.maximum.at(values, place, deliveries[field])
        messages[field] = values
    messages["flags"][place[deliveries["redelivered"] > 0]] |= REDELIVERED
    return is_first


def _reordered(consumer: npt.NDArray[np.int16], place: Int64s, starts: Int64s, is_first: Mask) -> Mask:
    """Return which first deliveries came after one of a higher number, from and to the same."""
    rows = np.flatnonzero(is_first)
    rank = place[rows]
    lifted = np.searchsorted(starts, rank, side="right")
    lifted *= int(consumer.max(initial=0)) + 1
    lifted += consumer[rows]
    order = np.argsort(lifted, kind="stable")
    # The numbers of all pairs laid end to end, so that each pair begins above the one before.
    lifted *= int(rank.max(initial=0)) + 1
    lifted += rank
    lifted, rows = lifted[order], rows[order]
    reordered = np.zeros(len(place), np.bool_)
    reordered[rows] = lifted < np.maximum.accumulate(lifted)
    return reordered


def _lost_confirmed(messages: Table) -> Mask:
    kept: Mask = (messages["confirmed_ns"] > 0) & ((messages["flags"] & RETURNED) == 0)
    return kept & _undelivered(messages)


def _lost_unconfirmed(messages: Table) -> Mask:
    sent: Mask = (messages["published_ns"] > 0) & (messages["confirmed_ns"] == 0)
    unheard_of: Mask = (messages["flags"] & (RETURNED | NACKED)) == 0
    return sent & unheard_of & _undelivered(messages)


def _undelivered(messages: Table) -> Mask:
    found: Mask = messages["deliveries"] == 0
    return found


def _count(flags: npt.NDArray[np.generic]) -> int:
    return int(np.count_nonzero(flags))


def _write_buffer(parts: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
