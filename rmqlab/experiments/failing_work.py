"""Work that goes wrong on purpose, and what is logged of it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from rmqlab.amqp import Crash

T = TypeVar("T")

LOGGER = logging.getLogger("rmqlab.amqp")


def crash_before(work: Callable[[T], object], *calls: int) -> Callable[[T], None]:
    """Return work whose worker crashes in some calls, before anything is done.

    Args:
        work: does the work, such as `workload.execute`.
        calls: which calls raise `engine.Crash`, counted from 1 over all workers.
    """
    return _crash(work, calls, is_before=True)


def crash_after(work: Callable[[T], object], *calls: int) -> Callable[[T], None]:
    """Return work whose worker crashes in some calls, when all is done and nothing acknowledged.

    Args:
        work: does the work, such as `workload.execute`.
        calls: which calls raise `engine.Crash`, counted from 1 over all workers.
    """
    return _crash(work, calls, is_before=False)


def _crash(work: Callable[[T], object], calls: Collection[int], *, is_before: bool) -> Callable[[T], None]:
    numbers = itertools.count(1)  # one at a time, also from several threads

    def work_or_crash(task: T) -> None:
        is_crash = next(numbers) in calls
        if not (is_crash and is_before):
            work(task)
        if is_crash:
            raise Crash

    return work_or_crash


@dataclass(slots=True, eq=False)
class Failures:
    """Failures of messages' work that were not logged.

    Attributes:
        count: how many there were.
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
    looks for, and take time. Whatever else is logged still is.

    Returns:
        A context manager that gives the failures, which are counted until its block is left.
    """
    failures = Failures()
    LOGGER.addFilter(failures._keep)
    try:
        yield failures
    finally:
        LOGGER.removeFilter(failures._keep)
