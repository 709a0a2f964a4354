"""The ledger of a run: gives recorders out, and puts together what they saw."""

from __future__ import annotations

import time

import numpy as np

from rmqlab.errors import LedgerError
from rmqlab.measure._account import Account, Totals
from rmqlab.measure._header import Identify, by_header
from rmqlab.measure._recorders import REJECTED, Clock, ConsumeRecorder, PublishRecorder


class Ledger:
    """The outcome of each message of a run: published, confirmed, delivered, settled.

    Give the run's publisher and each of its consumers a recorder of its own, as its observer::

        ledger = Ledger()
        with Publisher(broker, routing_key="q", observer=ledger.publisher()) as publisher:
            ...
        with Consumer(broker, "q", observer=ledger.consumer("worker-1")) as consumer:
            ...
        ledger.totals()

    It may be asked at any time, also while recorders write. A message takes 17 bytes for its publishing
    and 26 for each delivery, and in the account of a run 50 and 34.

    Args:
        clock: returns the time in nanoseconds; `time.perf_counter_ns` is one for all processes of
            a machine.
    """

    def __init__(self, *, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock
        self._publisher: PublishRecorder | None = None
        self._consumers: list[ConsumeRecorder] = []

    def publisher(self, *, identify: Identify = by_header) -> PublishRecorder:
        """Make the recorder of the run's publisher: the observer for one `Publisher`.

        Args:
            identify: returns the number of a message that comes back; below 0, or a ValueError, for
                one that is not of the run.

        Raises:
            LedgerError: the run has a publisher already.
        """
        if self._publisher is not None:
            raise LedgerError("This run has a publisher already. Next: make a new ledger for each run")
        self._publisher = PublishRecorder(identify, self._clock)
        return self._publisher

    def consumer(self, name: str = "consumer", *, identify: Identify = by_header) -> ConsumeRecorder:
        """Make a consumer's recorder: the observer for one `Consumer`.

        Args:
            name: who consumes.
            identify: returns the number of a message, as for `publisher`.
        """
        recorder = ConsumeRecorder(name, identify, self._clock)
        self._consumers.append(recorder)
        return recorder

    @property
    def published(self) -> int:
        """How many messages were published so far."""
        return len(self._publisher or ())

    @property
    def received(self) -> int:
        """How many deliveries there were so far, those of other runs included."""
        return sum(len(each) for each in list(self._consumers))

    @property
    def done(self) -> int:
        """How many messages are acknowledged or rejected so far, each counted once."""
        tables = [each.rows() for each in list(self._consumers)]  # quicker than an account
        parts = [rows["number"][rows["outcome"] >= REJECTED] for rows in tables]
        numbers = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
        return int(np.count_nonzero((numbers >= 0) & (numbers < self.published)))

    def account(self) -> Account:
        """Put together, message by message, what was seen so far."""
        return Account.of(self._publisher, list(self._consumers))

    def totals(self) -> Totals:
        """Count what happened so far; `account()` is for more than one question."""
        return self.account().totals()
