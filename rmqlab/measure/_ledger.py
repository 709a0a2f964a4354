"""The ledger of a run: gives recorders out, and puts together what they saw."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from rmqlab.measure._account import Account, Totals
from rmqlab.measure._header import Identify, by_header
from rmqlab.measure._recorders import Clock, ConsumeRecorder, PublishRecorder
from rmqlab.measure._snapshots import REJECTED


class Ledger:
    """The outcome of each message of a run: published, confirmed, delivered, settled.

    Give each publisher and each consumer a recorder of its own, as its observer:

        ledger = Ledger()
        with Publisher(broker, routing_key="q", observer=ledger.publisher()) as publisher:
            ...
        with Consumer(broker, "q", observer=ledger.consumer("worker-1")) as consumer:
            ...
        ledger.totals()

    A message takes 17 bytes for its publishing and 27 for each of its deliveries, and in
    the account of a run 48 and 28. A ledger may be asked at any time, also while recorders
    write, and can be pickled: what its recorders saw goes to the other process.

    Args:
        clock: returns the time in nanoseconds; `time.perf_counter_ns` is one for all processes of
            a machine.
    """

    def __init__(self, *, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock
        self._publishers: list[PublishRecorder] = []
        self._consumers: list[ConsumeRecorder] = []

    def __repr__(self) -> str:
        return f"<Ledger of {self.published} messages, {self.received} deliveries>"

    def publisher(
        self, name: str = "publisher", *, first: int = 0, identify: Identify = by_header
    ) -> PublishRecorder:
        """Make a publisher's recorder: the observer for one `Publisher`.

        Args:
            name: who publishes.
            first: number, in the run, of its first message; the others follow. The
                publishers of a run have numbers that do not overlap.
            identify: returns the number, in the run, of a message that comes back.

        Raises:
            ValueError: `first` is below 0.
        """
        recorder = PublishRecorder(name, first=first, identify=identify, clock=self._clock)
        self._publishers.append(recorder)
        return recorder

    def consumer(self, name: str = "consumer", *, identify: Identify = by_header) -> ConsumeRecorder:
        """Make a consumer's recorder: the observer for one `Consumer`.

        Args:
            name: who consumes; recorders of the same name count as one consumer.
            identify: returns the number, in the run, of a message; below 0, or a ValueError,
                for one that is not of the run.
        """
        recorder = ConsumeRecorder(name, identify=identify, clock=self._clock)
        self._consumers.append(recorder)
        return recorder

    def merge(self, others: Iterable[Ledger]) -> Ledger:
        """Return a ledger of what several processes saw of one run, with one clock: the machine's."""
        merged = Ledger(clock=self._clock)
        for each in (self, *others):
            merged._publishers += each._publishers
            merged._consumers += each._consumers
        return merged

    @property
    def published(self) -> int:
        """How many messages were published so far."""
        return sum(len(each) for each in list(self._publishers))

    @property
    def received(self) -> int:
        """How many deliveries there were so far, foreign ones included."""
        return sum(len(each) for each in list(self._consumers))

    @property
    def done(self) -> int:
        """How many messages are acknowledged or rejected so far, each counted once."""
        parts = [np.zeros(0, np.int64)]
        for each in list(self._consumers):
            rows = each.rows()
            parts.append(each.numbers(rows[rows["outcome"] >= REJECTED]))
        numbers = np.unique(np.concatenate(parts))  # quicker than an account, as it is asked again and again
        if not self._publishers:
            return int(np.count_nonzero(numbers >= 0))
        ranges = [(each.first, each.first + len(each)) for each in list(self._publishers)]
        return sum(int(np.diff(np.searchsorted(numbers, bounds))[0]) for bounds in ranges)

    def account(self) -> Account:
        """Put together, message by message, what was seen so far.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        return Account.of(list(self._publishers), list(self._consumers))

    def totals(self) -> Totals:
        """Count what happened so far; `account()` is for more than one question.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        return self.account().totals()
