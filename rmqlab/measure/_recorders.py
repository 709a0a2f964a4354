"""Recorders: what one publisher or one consumer sees, noted at a fraction of a microsecond.

Each belongs to one publisher or consumer, and only that one's thread writes to it. A row is packed
into a `bytearray`, as that takes a fraction of the time of an assignment to a numpy array; numpy reads
and changes many rows at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rmqlab.errors import LedgerError
from rmqlab.measure._header import Identify, number_of

Clock = Callable[[], int]
Table = npt.NDArray[np.void]

# The outcome of a delivery; 0 is none so far. Of several deliveries, the highest stands for the message.
REQUEUED, REJECTED, ACKED = 1, 2, 3
OUTCOMES = {"requeued": REQUEUED, "rejected": REJECTED, "acked": ACKED}

# What else is known of a message.
NACKED, RETURNED = 1, 2

# Times are nanoseconds of the ledger's clock; 0 is never. 17 bytes a message, 26 a delivery.
PUBLISHED = np.dtype([("published_ns", "<i8"), ("answered_ns", "<i8"), ("flags", "u1")])
CONSUMED = np.dtype(
    [
        ("delivered_ns", "<i8"),
        ("settled_ns", "<i8"),
        ("outcome", "u1"),
        ("redelivered", "u1"),
        ("number", "<i8"),
    ]
)

# Rows as they are begun, in these layouts, and what is written into them later.
pack_published = struct.Struct("<q9x").pack
pack_delivered = struct.Struct("<q9x?q").pack
pack_answered_into = struct.Struct("<q").pack_into
pack_settled_into = struct.Struct("<qB").pack_into
PUBLISHED_BYTES, CONSUMED_BYTES = PUBLISHED.itemsize, CONSUMED.itemsize
LATER = 8  # where in a row the later time stands
FLAGS = OUTCOME = 16  # where in a row flags and outcome stand


class PublishRecorder:
    """Notes the outcome of the messages of one publisher: a `PublishObserver`. A `Ledger` makes it."""

    def __init__(self, identify: Identify, clock: Clock) -> None:
        self._identify = identify
        self._clock = clock
        self._rows = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def published(self, number: int) -> None:
        """Note that a message is about to be sent; its first time counts if it is sent again."""
        if number == self._count:
            self._rows += pack_published(self._clock())
            self._count += 1
        else:
            self._check(number)

    def confirmed(self, number: int) -> None:
        """Note that the broker confirmed a message."""
        self._check(number)
        pack_answered_into(self._rows, number * PUBLISHED_BYTES + LATER, self._clock())

    def nacked(self, number: int) -> None:
        """Note that the broker refused a message."""
        self._check(number)
        self._rows[number * PUBLISHED_BYTES + FLAGS] |= NACKED
        pack_answered_into(self._rows, number * PUBLISHED_BYTES + LATER, self._clock())

    def returned(self, properties: Any, body: bytes) -> None:
        """Note that a message came back, as no queue was there for it."""
        number = number_of(self._identify, properties, body)
        if 0 <= number < self._count:
            self._rows[number * PUBLISHED_BYTES + FLAGS] |= RETURNED

    def rows(self) -> Table:
        """Return what was noted so far; any thread may ask while the publisher's one writes."""
        return np.frombuffer(bytes(self._rows), PUBLISHED)

    def _check(self, number: int) -> None:
        if not 0 <= number < self._count:
            raise LedgerError(
                f"A publisher names its message {number}, but has published {self._count} so far. "
                "Next: give each publisher a ledger of its own, from its first message on"
            )


class ConsumeRecorder:
    """Notes the outcome of the deliveries of one consumer: a `ConsumeObserver`. A `Ledger` makes it.

    Delivery tags count from 1 on each channel, so the tag gives the place of a delivery. A
    tag that begins again at 1 means a new channel: what the old one had not settled never
    will be.
    """

    def __init__(self, name: str, identify: Identify, clock: Clock) -> None:
        self.name = name
        self._identify = identify
        self._clock = clock
        self._rows = bytearray()
        self._next = 1  # tag of the next delivery, if its channel is the last one's
        self._start = 0  # place of the channel's first delivery
        self._low = 0  # all before this place are settled, or of an older channel

    def __len__(self) -> int:
        return len(self._rows) // CONSUMED_BYTES

    @property
    def settled_count(self) -> int:
        """How many deliveries are acked or rejected so far."""
        return int(np.count_nonzero(self.rows()["outcome"] >= REJECTED))

    @property
    def unsettled_count(self) -> int:
        """How many deliveries are neither acked, nor rejected, nor requeued so far."""
        return int(np.count_nonzero(self.rows()["outcome"] == 0))

    def delivered(self, tag: int, redelivered: bool, properties: Any, body: bytes) -> None:
        """Note that a message arrived, of whatever run."""
        if tag != self._next:
            self._begin_channel(tag)
        self._next = tag + 1
        now_ns = self._clock()
        self._rows += pack_delivered(now_ns, redelivered, number_of(self._identify, properties, body))

    def settled(self, tag: int, multiple: bool, outcome: str) -> None:
        """Note what the consumer told the broker of a delivery; of one told twice, the first counts."""
        if not 0 < tag < self._next:
            raise LedgerError(
                f"The consumer {self.name!r} settled delivery tag {tag}, which it was "
                "not handed on this channel. Next: settle each delivery on the channel that it came from"
            )
        place = self._start + tag - 1
        if multiple:
            rows = np.frombuffer(self._rows, CONSUMED)[self._low : place + 1]
            unsettled = rows["settled_ns"] == 0
            rows["settled_ns"][unsettled] = self._clock()
            rows["outcome"][unsettled] = OUTCOMES[outcome]
            self._low = max(self._low, place + 1)
        elif not self._rows[place * CONSUMED_BYTES + OUTCOME]:
            pack_settled_into(self._rows, place * CONSUMED_BYTES + LATER, self._clock(), OUTCOMES[outcome])

    def rows(self) -> Table:
        """Return what was noted so far; any thread may ask while the consumer's one writes."""
        return np.frombuffer(bytes(self._rows), CONSUMED)

    def _begin_channel(self, tag: int) -> None:
        if tag != 1:
            raise LedgerError(
                f"The consumer {self.name!r} was handed delivery tag {tag}, where {self._next} or 1 was due. "
                "Next: give each consumer a recorder of its own, from its first delivery on"
            )
        self._start = self._low = len(self)
