"""What is broken on purpose for a while, and mended whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from rmqlab.interrupts import result_of

# A thread that was about to start when an interrupt came starts within this time, or never.
BEGIN_TIMEOUT_S = 1

logger = logging.getLogger("rmqlab.broker")
T = TypeVar("T")


@dataclass(slots=True)
class Outage:
    """A time during which something was broken on purpose.

    Attributes:
        fault: what was done: `restart`, `kill`, `pause`, `memory alarm` or `partition`.
        down_ns: when it had happened, in nanoseconds of `time.perf_counter_ns`, the ledger's clock.
        up_ns: when it was undone and all was well again, on the same clock; 0 until then.
    """

    fault: str
    down_ns: int = 0
    up_ns: int = 0

    @property
    def lasted_s(self) -> float:
        """How long it lasted, or has lasted so far, in seconds."""
        return ((self.up_ns or time.perf_counter_ns()) - self.down_ns) / 1e9


class Fault:
    """Breaks something at the beginning of a `with` block, and mends it at the end.

    Args:
        name: what is done, for the outage.
        begin: does it, and waits until it has happened.
        end: undoes it, and waits until all is well again; does no harm where nothing was done.
    """

    def __init__(self, name: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self._outage = Outage(name)
        self._begin = begin
        self._end = end
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Outage:
        try:
            undisturbed(self._break)
            return self._outage
        except BaseException:  # an interrupt as well
            with contextlib.suppress(Exception):  # what began this tells more
                undisturbed(self._mend)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            undisturbed(self._mend)
        except BaseException:
            if not self._is_over:  # interrupted before it began
                undisturbed(self._mend)
            raise

    def _break(self) -> None:
        with self._lock:  # after a second interrupt, the end may come before the beginning
            if not self._is_over:
                self._begin()
                self._outage.down_ns = time.perf_counter_ns()

    def _mend(self) -> None:
        with self._lock:
            self._is_over = True
            self._end()
            self._outage.up_ns = time.perf_counter_ns()


def undisturbed(work: Callable[[], T], *, on_interrupt: Callable[[], object] = lambda: None) -> T:
    """Call something that no interrupt must leave half done, and return what it returns.

    It runs in a thread, as an interrupt reaches the main thread alone. After a first interrupt the
    caller waits for it, which `on_interrupt` is to shorten; after a second one it is done all the same.
    """
    begun = threading.Event()
    outcome: Future[T] = Future()

    def run() -> None:
        begun.set()
        try:
            outcome.set_result(work())
        except BaseException as error:  # it is raised where somebody waits for it
            outcome.set_exception(error)

    try:
        threading.Thread(target=run, name="rmqlab-fault", daemon=True).start()
        return result_of(outcome)
    except BaseException:
        if not outcome.done():
            on_interrupt()
            if begun.wait(BEGIN_TIMEOUT_S) and (error := outcome.exception()):
                logger.warning("after an interrupt: %s", error)
        raise
