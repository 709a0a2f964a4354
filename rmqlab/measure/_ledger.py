"""The ledger of a run: what happened to each message, by whom and when."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rmqlab.engine import Delivery, Outcome

if TYPE_CHECKING:
    import pandas as pd

Event = Literal["published", "delivered", Outcome]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to one message.

    Attributes:
        message: number of the message in its run, from 0.
        event: published, delivered, acked, requeued or rejected.
        time_s: when, in seconds of a clock that starts anywhere and never goes back.
        worker: who consumed it; empty for what the publisher did.
        redelivered: whether the broker flagged the delivery as a possible repetition.
    """

    message: int
    event: Event
    time_s: float
    worker: str = ""
    redelivered: bool = False


class Ledger:
    """Collects what a publisher and its workers see. Any thread may write to it.

    It is an `Observer` of `EngineWorker`s whose messages' identities are their numbers.

    Args:
        expected: how many messages the run has.
    """

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.entries: list[Entry] = []
        self.complete = threading.Event()
        self._done: set[int] = set()

    @property
    def done(self) -> int:
        """How many messages are acknowledged or rejected so far."""
        return len(self._done)

    def published(self, message: int) -> None:
        """Note that a message is being published."""
        self._note(Entry(message, "published", time.perf_counter()))

    def delivered(self, delivery: Delivery) -> None:
        """Note that a message arrived at a worker."""
        now = time.perf_counter()
        self._note(Entry(int(delivery.message_id), "delivered", now, delivery.worker, delivery.redelivered))

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """Note what a worker told the broker of a message."""
        message = int(delivery.message_id)
        self._note(Entry(message, outcome, time.perf_counter(), delivery.worker, delivery.redelivered))
        if outcome != "requeued":
            self._done.add(message)
            if len(self._done) == self.expected:
                self.complete.set()

    def frame(self) -> pd.DataFrame:
        """Show the entries in the order of time.

        Returns:
            One row an entry: message, event, time_s (from the first entry on), worker,
            redelivered.
        """
        import pandas as pd

        columns = ["message", "event", "time_s", "worker", "redelivered"]
        rows = [(e.message, e.event, e.time_s, e.worker, e.redelivered) for e in self.entries]
        frame = pd.DataFrame(rows, columns=columns).sort_values("time_s", kind="stable", ignore_index=True)
        frame["time_s"] -= frame["time_s"].min()
        return frame

    def _note(self, entry: Entry) -> None:
        self.entries.append(entry)  # appending to a list is atomic in CPython
