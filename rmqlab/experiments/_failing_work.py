"""Work that goes wrong on purpose, and what is logged of it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from rmqlab.amqp import Crash

T = TypeVar("T")

LOGGER = logging.getLogger("rmqlab.amqp")


def crash_before(work: Callable[[T], object], *calls: int) -> Callable[[T], None]:
    """Make work whose worker crashes in some calls, before anything is done.

    Args:
        work: does the work, such as `workload.execute`.
        calls: which calls crash, counted from 1 over all workers that share what is returned.

    Returns:
        What does the work, and raises `engine.Crash` instead in these calls.

    Raises:
        ValueError: a call is below 1.
    """
    count = _CallCounter(calls)

    def crash_or_work(task: T) -> None:
        if count.is_hit():
            raise Crash
        work(task)

    return crash_or_work


def crash_after(work: Callable[[T], object], *calls: int) -> Callable[[T], None]:
    """Make work whose worker crashes in some calls, when all is done and nothing acknowledged.

    Args:
        work: does the work, such as `workload.execute`.
        calls: which calls crash, counted from 1 over all workers that share what is returned.

    Returns:
        What does the work, and then raises `engine.Crash` in these calls.

    Raises:
        ValueError: a call is below 1.
    """
    count = _CallCounter(calls)

    def work_and_crash(task: T) -> None:
        is_hit = count.is_hit()
        work(task)
        if is_hit:
            raise Crash

    return work_and_crash


class _CallCounter:
    """Counts the calls of several threads, and says which of them are to crash."""

    def __init__(self, calls: tuple[int, ...]) -> None:
        if any(call < 1 for call in calls):
            raise ValueError(f"calls are {calls}; they are counted from 1")
        self._calls = frozenset(calls)
        self._count = 0
        self._lock = threading.Lock()

    def is_hit(self) -> bool:
        with self._lock:
            self._count += 1
            return self._count in self._calls


@dataclass(slots=True, eq=False)
class Failures:
    """What would have been logged of messages whose work failed.

    Attributes:
        count: how many failures there were.
        first: the first one, in a line: which message, and what was raised; empty if there
            was none.
    """

    count: int = 0
    first: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def _keep(self, record: logging.LogRecord) -> bool:
        if record.exc_info is None:
            return True
        error = record.exc_info[1]
        with self._lock:
            self.count += 1
            if self.count == 1:
                self.first = f"{record.getMessage()}: {type(error).__name__}: {error}"
        return False


@contextlib.contextmanager
def capture_failures() -> Iterator[Failures]:
    """Count the failures of messages' work instead of logging each with its traceback.

    For work that fails on purpose, and often: a thousand tracebacks a second hide what one
    looks for, and cost time of their own. Whatever else is logged still is.

    Returns:
        A context manager that gives the failures, which are counted until its block is left.
    """
    failures = Failures()
    LOGGER.addFilter(failures._keep)
    try:
        yield failures
    finally:
        LOGGER.removeFilter(failures._keep)
