"""What happened in the playground so far, counted where it happens."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass

WINDOW_S = 2.0  # waits and rates are of the last seconds


@dataclass(slots=True)
class Totals:
    """Counts since the beginning.

    Attributes:
        published: tasks, those included that are poison.
        done: tasks whose work was done, each counted once.
        repeated: tasks whose work was done once more.
        received: deliveries.
        redelivered: deliveries that the broker flagged as repetitions.
        rejected: deliveries that were rejected.
    """

    published: int = 0
    done: int = 0
    repeated: int = 0
    received: int = 0
    redelivered: int = 0
    rejected: int = 0


class Counts:
    """Counts of all threads; each method may be called from any of them."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.kills: list[tuple[int, int]] = []  # how many messages each had in hand, and the lost by then
        self.freezes = self.emptied = self.lost = 0
        self._lock = threading.Lock()
        self._open: dict[int, float] = {}  # tasks that are not done: when they were published
        self._begun: set[int] = set()
        self._waits: deque[tuple[float, float, bool]] = deque()  # when it ended, how long, of high priority

    def published(self, number: int, *, is_poison: bool) -> None:
        """Note that a task is about to be published."""
        with self._lock:
            self.totals.published += 1
            if not is_poison:  # poison is never done
                self._open[number] = time.perf_counter()

    def begun(self, number: int, *, is_high: bool) -> None:
        """Note that a worker begins a task; its first time counts."""
        now_s = time.perf_counter()
        with self._lock:
            if number in self._open and number not in self._begun:
                self._begun.add(number)
                self._waits.append((now_s, now_s - self._open[number], is_high))

    def finished(self, number: int) -> None:
        """Note that a task's work is done."""
        with self._lock:
            if self._open.pop(number, None) is None:
                self.totals.repeated += 1
            else:
                self.totals.done += 1
            self._begun.discard(number)

    def forget(self) -> None:
        """Forget the tasks that are not done: somebody emptied the queue."""
        with self._lock:
            self.emptied += 1
            self._open.clear()
            self._begun.clear()

    def write_off(self) -> None:
        """Count as lost what is not done: nothing is published, waits or is in hand."""
        with self._lock:
            self.lost += len(self._open)
            self._open.clear()
            self._begun.clear()

    def add(self, **counts: int) -> None:
        """Add to totals, by name."""
        with self._lock:
            for name, count in counts.items():
                setattr(self.totals, name, getattr(self.totals, name) + count)

    @property
    def open(self) -> int:
        """How many tasks are published and not done."""
        return len(self._open)

    def waits_ms(self) -> dict[str, float | None]:
        """Return median and 95th percentile of the waits of the last seconds, and medians by priority."""
        with self._lock:
            since_s = time.perf_counter() - WINDOW_S
            while self._waits and self._waits[0][0] < since_s:
                self._waits.popleft()
            waits = list(self._waits)
        both = sorted(wait_s * 1000 for _, wait_s, _ in waits)
        high = [wait_s * 1000 for _, wait_s, is_high in waits if is_high]
        normal = [wait_s * 1000 for _, wait_s, is_high in waits if not is_high]
        return {
            "wait_median_ms": statistics.median(both) if both else None,
            "wait_p95_ms": both[int(0.95 * (len(both) - 1))] if both else None,
            "high_ms": statistics.median(high) if high else None,
            "normal_ms": statistics.median(normal) if normal else None,
        }


class Hand:
    """What a worker has in hand: its observer."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._tags: set[int] = set()

    @property
    def held(self) -> int:
        """How many messages it was handed and did not settle."""
        return len(self._tags)

    def delivered(self, tag: int, redelivered: bool, *_: object) -> None:
        """Note a delivery; tags that begin anew are of a new channel."""
        if tag == 1:
            self._tags = set()
        self._tags.add(tag)
        self._counts.add(received=1, redelivered=int(redelivered))

    def settled(self, tag: int, multiple: bool, outcome: str) -> None:
        """Note that messages are settled."""
        before = len(self._tags)
        self._tags = {each for each in self._tags if each > tag} if multiple else self._tags - {tag}
        if outcome == "rejected":
            self._counts.add(rejected=before - len(self._tags))

    def end(self) -> None:
        """Note that the worker is gone."""
        self._tags = set()
