"""Recorders: what one publisher or one consumer sees, noted at a fraction of a microsecond.

Each belongs to one publisher or consumer, and only that one's thread writes to it; so
recorders share nothing that two threads could write at once. What they saw is put together
by message when a `Ledger` is asked. They note in `array`s and `bytearray`s because those
append several times as fast as numpy assigns.

Times are those of `time.perf_counter_ns`, in nanoseconds. On Linux, macOS and Windows it is one
clock for all processes of a machine, and it never goes back.
"""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rmqlab.errors import LedgerError
from rmqlab.measure._header import FOREIGN, IDENTITY_BYTES, Header, Identify, by_header
from rmqlab.measure._snapshots import (
    ACKED,
    NACKED,
    OUTCOMES,
    REJECTED,
    RETURNED,
    Bytes,
    Consumed,
    Int64s,
    Published,
)

Clock = Callable[[], int]

NOT_OF_THE_RUN = (ValueError, TypeError, struct.error)

# A delivery as it is noted: time, flag, and the bytes that identify the message, with their
# count before them. One row in one piece takes half the time of one item in each of three arrays.
ROW = struct.Struct(f"<q?{1 + IDENTITY_BYTES}p")
ROW_DTYPE = np.dtype([("delivered_ns", "<i8"), ("redelivered", "u1"), ("length", "u1"), ("identity", "<u8")])
UNKNOWN = b""
pack_row = ROW.pack
ROW_BYTES = ROW.size


class PublishRecorder:
    """Notes the outcome of the messages of one publisher: a `PublishObserver`.

    Args:
        name: who publishes.
        first: number, in the run, of its first message; the others follow.
        identify: gives the number, in the run, of a message that comes back.
        clock: gives the time in nanoseconds.
    """

    __slots__ = (
        "_add",
        "_answered_ns",
        "_clock",
        "_flags",
        "_foreign",
        "_identify",
        "_published_ns",
        "first",
        "name",
    )

    def __init__(
        self,
        name: str = "publisher",
        *,
        first: int = 0,
        identify: Identify = by_header,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        if first < 0:
            raise ValueError(f"first is {first}; numbers of messages go from 0")
        self.name = name
        self.first = first
        self._identify = identify
        self._clock = clock
        self._published_ns = array("q")
        self._add = self._published_ns.append
        # As long as the messages that were answered, or came back; the rest are zeros.
        self._answered_ns = array("q")
        self._flags = bytearray()
        self._foreign = 0

    def __len__(self) -> int:
        return len(self._published_ns)

    def __repr__(self) -> str:
        return f"<PublishRecorder {self.name!r}: {len(self)} messages from {self.first}>"

    def published(self, number: int) -> None:
        """Note that a message is about to be sent; its first time counts if it is sent again.

        Args:
            number: number of the message with this publisher, from 0 and without a gap.

        Raises:
            LedgerError: a number was left out.
        """
        if number != len(self._published_ns):
            self._check(number, len(self._published_ns))
            return
        self._add(self._clock())

    def confirmed(self, first: int, last: int) -> None:
        """Note that the broker confirmed messages `first` to `last`, inclusive.

        Raises:
            LedgerError: they were not published.
        """
        answered = self._answered_ns
        if first == len(answered) and first <= last < len(self._published_ns):
            if first == last:
                answered.append(self._clock())
            else:
                answered.extend(array("q", (self._clock(),)) * (last + 1 - first))
        else:
            self._answer(first, last)

    def nacked(self, first: int, last: int) -> None:
        """Note that the broker refused messages `first` to `last`, inclusive.

        Raises:
            LedgerError: they were not published.
        """
        self._answer(first, last)
        for number in range(first, last + 1):
            self._flag(number, NACKED)

    def returned(self, properties: Any, body: bytes) -> None:
        """Note that a message came back, as no queue was there for it."""
        try:
            number = self._identify(properties, body) - self.first
        except NOT_OF_THE_RUN:
            number = FOREIGN
        if 0 <= number < len(self._published_ns):
            self._flag(number, RETURNED)
        else:
            self._foreign += 1

    def snapshot(self) -> Published:
        """Return what was noted so far; any thread may ask while the publisher's one writes."""
        count = len(self._published_ns)
        return Published(
            self.name,
            self.first,
            published_ns=_int64s(self._published_ns, count),
            answered_ns=_int64s(self._answered_ns, count),
            flags=_bytes(self._flags, count),
            foreign=self._foreign,
        )

    def _answer(self, first: int, last: int) -> None:
        self._check(first, last + 1)
        self._check(last, len(self._published_ns))
        answered = self._answered_ns
        count = last + 1 - first
        if last >= len(answered):
            answered.extend(array("q", (0,)) * (last + 1 - len(answered)))
        answered[first : last + 1] = array("q", (self._clock(),)) * count

    def _flag(self, number: int, flag: int) -> None:
        flags = self._flags
        if number >= len(flags):
            flags.extend(bytes(number + 1 - len(flags)))
        flags[number] |= flag

    def _check(self, number: int, end: int) -> None:
        if not 0 <= number < end:
            raise LedgerError(
                f"The publisher {self.name!r} speaks of its message {number}, but has "
                f"published {len(self)} so far. Next: give each publisher a recorder of its own, from its "
                "first message on"
            )


class ConsumeRecorder:
    """Notes the outcome of the deliveries of one consumer: a `ConsumeObserver`.

    Delivery tags count from 1 on each channel, so the tag gives the place of a delivery. A
    tag that begins again at 1 means a new channel: what the old one had not settled never
    will be.

    Args:
        name: who consumes.
        identify: gives the number, in the run, of a message; below 0 for one not of the run.
        clock: gives the time in nanoseconds.
    """

    __slots__ = (
        "_clock",
        "_identify",
        "_low",
        "_next",
        "_outcome",
        "_rows",
        "_run",
        "_settled_ns",
        "_start",
        "name",
    )

    def __init__(
        self, name: str = "consumer", *, identify: Identify = by_header, clock: Clock = time.perf_counter_ns
    ) -> None:
        self.name = name
        # A header is only kept, and read when all is over.
        self._identify = None if isinstance(identify, Header) else identify
        self._run = identify.run if isinstance(identify, Header) else None
        self._clock = clock
        self._rows = bytearray()
        # As long as the deliveries that were settled; the rest are zeros.
        self._settled_ns = array("q")
        self._outcome = bytearray()
        self._next = 1  # tag of the next delivery, if its channel is the last one's
        self._start = 0  # place of the channel's first delivery
        self._low = 0  # place of the channel's first delivery that is not settled

    def __len__(self) -> int:
        return len(self._rows) // ROW_BYTES

    def __repr__(self) -> str:
        return f"<ConsumeRecorder {self.name!r}: {len(self)} deliveries>"

    @property
    def settled_count(self) -> int:
        """How many deliveries are acked or rejected so far."""
        return self._outcome.count(ACKED) + self._outcome.count(REJECTED)

    @property
    def unsettled_count(self) -> int:
        """How many deliveries are in hand: neither acked, nor rejected, nor requeued so far."""
        return len(self) - len(self._outcome) + self._outcome.count(0)

    def delivered(self, tag: int, redelivered: bool, properties: Any, body: bytes) -> None:
        """Note that a message arrived; one that is not of the run is noted as foreign.

        Args:
            tag: its delivery tag.
            redelivered: whether the broker may have delivered it before.
            properties: its properties.
            body: its body.

        Raises:
            LedgerError: tags were left out.
        """
        if tag != self._next:
            self._new_channel(tag)
        self._next = tag + 1
        now_ns = self._clock()
        identity = body[:IDENTITY_BYTES] if self._identify is None else self._find(properties, body)
        self._rows += pack_row(now_ns, redelivered, identity)

    def settled(self, tag: int, multiple: bool, outcome: str) -> None:
        """Note what the consumer told the broker of a delivery; of one told twice, the first counts.

        Args:
            tag: its delivery tag.
            multiple: whether all deliveries up to this one are meant that are not settled yet.
            outcome: acked, requeued or rejected.

        Raises:
            LedgerError: there was no such delivery on this channel.
        """
        place = self._start + tag - 1
        settled = self._settled_ns
        code = OUTCOMES[outcome]
        low = self._low
        # Nearly always the oldest ones are settled next, and nothing behind them is yet.
        if len(settled) == low <= place < len(self._rows) // ROW_BYTES:
            if place == low:
                settled.append(self._clock())
                self._outcome.append(code)
                self._low = place + 1
                return
            if multiple:
                count = place + 1 - low
                settled.extend(array("q", (self._clock(),)) * count)
                self._outcome.extend(bytes((code,)) * count)
                self._low = place + 1
                return
        self._settle_anywhere(place, multiple, code)

    def snapshot(self) -> Consumed:
        """Return what was noted so far; any thread may ask while the consumer's one writes."""
        rows = np.frombuffer(bytes(self._rows), ROW_DTYPE)
        count = len(rows)
        return Consumed(
            self.name,
            number=self._numbers(rows),
            delivered_ns=rows["delivered_ns"].astype(np.int64),
            settled_ns=_int64s(self._settled_ns, count),
            redelivered=rows["redelivered"].copy(),
            outcome=_bytes(self._outcome, count),
        )

    def _find(self, properties: Any, body: bytes) -> bytes:
        assert self._identify is not None
        try:
            return self._identify(properties, body).to_bytes(IDENTITY_BYTES, "little")
        except (*NOT_OF_THE_RUN, OverflowError):
            return UNKNOWN

    def _numbers(self, rows: npt.NDArray[np.void]) -> Int64s:
        """Read what identifies the messages; below 0 for those that are not of the run."""
        identity = rows["identity"].astype(np.uint64)
        if self._identify is not None:
            numbers = identity.astype(np.int64)
        else:
            numbers = (identity & np.uint64(0xFFFFFFFF)).astype(np.int64)
            if self._run is not None:
                numbers[identity >> np.uint64(32) != self._run] = FOREIGN
        numbers[rows["length"] < IDENTITY_BYTES] = FOREIGN
        return numbers

    def _new_channel(self, tag: int) -> None:
        if tag != 1:
            raise LedgerError(
                f"The consumer {self.name!r} was handed delivery tag {tag}, where {self._next} or 1 was due. "
                "Next: give each consumer a recorder of its own, from its first delivery on"
            )
        self._start = self._low = len(self)
        self._pad(self._start)

    def _settle_anywhere(self, place: int, multiple: bool, code: int) -> None:
        if not self._start <= place < len(self):
            raise LedgerError(
                f"The consumer {self.name!r} settled delivery tag {place + 1 - self._start}, which it was "
                "not handed on this channel. Next: settle each delivery on the channel that it came from"
            )
        self._pad(place + 1)
        first = self._low if multiple else place
        # Views on the arrays, which cannot grow until these are gone.
        times = np.frombuffer(self._settled_ns, np.int64)[first : place + 1]
        outcomes = np.frombuffer(self._outcome, np.uint8)[first : place + 1]
        unsettled = times == 0
        times[unsettled] = self._clock()
        outcomes[unsettled] = code
        low = self._low
        while low < len(self._settled_ns) and self._settled_ns[low]:
            low += 1
        self._low = low

    def _pad(self, count: int) -> None:
        missing = count - len(self._settled_ns)
        if missing > 0:
            self._settled_ns.extend(array("q", (0,)) * missing)
            self._outcome.extend(bytes(missing))


def _int64s(values: array[int], count: int) -> Int64s:
    """Copy the first values, and fill up with zeros."""
    known = values[:count]
    found = np.zeros(count, np.int64)
    found[: len(known)] = known
    return found


def _bytes(values: bytearray, count: int) -> Bytes:
    known = values[:count]
    found = np.zeros(count, np.uint8)
    found[: len(known)] = np.frombuffer(known, np.uint8)
    return found
