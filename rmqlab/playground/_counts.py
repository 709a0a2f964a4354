"""What happened in the playground so far, counted where it happens."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

WINDOW_S = 2.0  # waits are of the last seconds


class Counts:
    """Counts of all threads; each method may be called from any of them.

    Attributes:
        totals: `published` and `done` tasks, each counted once, and `redelivered` deliveries.
        kills: how many messages each killed worker had in hand, and how many tasks were lost by then.
        freezes, emptied: how often the player did so.
        lost: tasks that are nowhere any more.
    """

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.kills: list[tuple[int, int]] = []
        self.freezes = self.emptied = self.lost = 0
        self._lock = threading.Lock()
        self._open: set[int] = set()  # tasks that are not done
        self._waiting: dict[int, float] = {}  # those that nobody has begun: when they were published
        self._waits: deque[tuple[float, float, bool]] = deque()  # when it ended, how long, of high priority

    def published(self, number: int, *, is_poison: bool) -> None:
        """Note that a task is about to be published."""
        with self._lock:
            self.totals["published"] += 1
            if not is_poison:  # poison is never done
                self._open.add(number)
                self._waiting[number] = time.perf_counter()

    def begun(self, number: int, *, is_high: bool) -> None:
        """Note that a worker begins a task; its first time counts."""
        now_s = time.perf_counter()
        with self._lock:
            if (since_s := self._waiting.pop(number, None)) is not None:
                self._waits.append((now_s, (now_s - since_s) * 1000, is_high))

    def finished(self, number: int) -> None:
        """Note that a task's work is done; its first time counts."""
        with self._lock:
            self.totals["done"] += number in self._open
            self._open.discard(number)

    def redelivered(self) -> None:
        """Note a delivery that the broker flagged as a repetition."""
        with self._lock:
            self.totals["redelivered"] += 1

    def forget(self) -> int:
        """Forget the tasks that are not done, and return how many there were."""
        with self._lock:
            count = len(self._open)
            self._open.clear()
            self._waiting.clear()
            return count

    def waits_ms(self) -> dict[str, Any]:
        """Return median and 95th percentile of the waits of the last seconds, and medians by priority."""
        with self._lock:
            since_s = time.perf_counter() - WINDOW_S
            while self._waits and self._waits[0][0] < since_s:
                self._waits.popleft()
            waits = list(self._waits)
        both = sorted(wait_ms for _, wait_ms, _ in waits)
        return {
            "wait_median_ms": _median(both),
            "wait_p95_ms": both[int(0.95 * (len(both) - 1))] if both else None,
            "high_ms": _median([wait_ms for _, wait_ms, is_high in waits if is_high]),
            "normal_ms": _median([wait_ms for _, wait_ms, is_high in waits if not is_high]),
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
        if redelivered:
            self._counts.redelivered()

    def settled(self, tag: int, multiple: bool, _outcome: str) -> None:
        """Note that messages are settled."""
        self._tags = {each for each in self._tags if each > tag} if multiple else self._tags - {tag}

    def end(self) -> None:
        """Note that the worker is gone."""
        self._tags = set()


def _median(waits_ms: Sequence[float]) -> float | None:
    return statistics.median(waits_ms) if waits_ms else None
