"""The ledger of a run: gives recorders out, and puts together what they saw."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from rmqlab.measure._account import Account, Totals, sorted_ranges
from rmqlab.measure._header import Identify, by_header
from rmqlab.measure._recorders import Clock, ConsumeRecorder, PublishRecorder
from rmqlab.measure._snapshots import REJECTED, Consumed, Published


class Ledger:
    """What became of each message of a run: published, confirmed, delivered, settled.

    Give each publisher and each consumer a recorder of its own, as its observer:

        ledger = Ledger()
        with Publisher(broker, routing_key="q", observer=ledger.publisher()) as publisher:
            ...
        with Consumer(broker, "q", observer=ledger.consumer("worker-1")) as consumer:
            ...
        ledger.totals()

    A message takes 17 bytes for its publishing and 26 for each of its deliveries, and in
    the account of a run 48 and 28. A ledger may be asked at any time, also while recorders
    write, and can be pickled: what its recorders saw goes to the other process.

    Args:
        clock: gives the time in nanoseconds; `time.perf_counter_ns` is one for all processes of
            a machine.
    """

    def __init__(self, *, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock
        self._recorders: list[PublishRecorder | ConsumeRecorder] = []
        # What recorders of other processes saw.
        self._published: list[Published] = []
        self._consumed: list[Consumed] = []

    def __repr__(self) -> str:
        return f"<Ledger of {self.published} messages, {self.received} deliveries>"

    def __getstate__(self) -> dict[str, Any]:
        return {"_published": self._seen_by_publishers(), "_consumed": self._seen_by_consumers()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self.__dict__.update(state)

    def publisher(
        self, name: str = "publisher", *, first: int = 0, identify: Identify = by_header
    ) -> PublishRecorder:
        """Make a publisher's recorder: the observer for one `Publisher`.

        Args:
            name: who publishes.
            first: number, in the run, of its first message; the others follow. The
                publishers of a run have numbers that do not overlap.
            identify: gives the number, in the run, of a message that comes back.

        Raises:
            ValueError: `first` is below 0.
        """
        recorder = PublishRecorder(name, first=first, identify=identify, clock=self._clock)
        self._recorders.append(recorder)
        return recorder

    def consumer(self, name: str = "consumer", *, identify: Identify = by_header) -> ConsumeRecorder:
        """Make a consumer's recorder: the observer for one `Consumer`.

        Args:
            name: who consumes; recorders of the same name count as one consumer.
            identify: gives the number, in the run, of a message; below 0, or a ValueError,
                for one that is not of the run.
        """
        recorder = ConsumeRecorder(name, identify=identify, clock=self._clock)
        self._recorders.append(recorder)
        return recorder

    def merge(self, others: Iterable[Ledger]) -> Ledger:
        """Put together what several processes saw of one run.

        Args:
            others: the other processes' ledgers. All of them have one clock: that of the machine.

        Returns:
            A new ledger of what was seen so far.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        merged = Ledger(clock=self._clock)
        for ledger in (self, *others):
            merged._published += ledger._seen_by_publishers()
            merged._consumed += ledger._seen_by_consumers()
        sorted_ranges(merged._published)
        return merged

    @property
    def published(self) -> int:
        """How many messages were published so far."""
        return sum(len(each) for each in self._recorders if isinstance(each, PublishRecorder)) + sum(
            len(part.published_ns) for part in self._published
        )

    @property
    def received(self) -> int:
        """How many deliveries there were so far, foreign ones included."""
        return sum(len(each) for each in self._recorders if isinstance(each, ConsumeRecorder)) + sum(
            len(part.number) for part in self._consumed
        )

    @property
    def done(self) -> int:
        """How many messages are acknowledged or rejected so far, each counted once."""
        settled = [part.number[part.outcome >= REJECTED] for part in self._seen_by_consumers()]
        numbers = np.sort(np.concatenate([np.zeros(0, np.int64), *settled]))
        numbers = numbers[np.concatenate([numbers[:1] >= 0, numbers[1:] != numbers[:-1]])]
        ranges = self._ranges()
        if not ranges:
            return int(np.count_nonzero(numbers >= 0))
        return sum(int(np.diff(np.searchsorted(numbers, bounds))[0]) for bounds in ranges)

    def account(self) -> Account:
        """Put together, message by message, what was seen so far.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        return Account.of(self._seen_by_publishers(), self._seen_by_consumers())

    def totals(self) -> Totals:
        """Count what happened so far; `account()` is for more than one question.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        return self.account().totals()

    def _ranges(self) -> list[tuple[int, int]]:
        """Return the numbers, from and below, that each publisher has published so far."""
        recorders = [each for each in list(self._recorders) if isinstance(each, PublishRecorder)]
        return [(each.first, each.first + len(each)) for each in recorders] + [
            (part.first, part.first + len(part.published_ns)) for part in self._published
        ]

    def _seen_by_publishers(self) -> list[Published]:
        return self._published + [
            each.snapshot() for each in list(self._recorders) if isinstance(each, PublishRecorder)
        ]

    def _seen_by_consumers(self) -> list[Consumed]:
        return self._consumed + [
            each.snapshot() for each in list(self._recorders) if isinstance(each, ConsumeRecorder)
        ]
