"""Ctrl-C, or the interrupt of a cell: waits that it ends, and steps that it does not come between.

The system may hand a signal to any thread of a process. Python raises `KeyboardInterrupt` in
the main thread alone, and does so when that one wakes up: so it must not sleep for good. And
Python raises it between any two steps of the main thread, also where the first without the
second does harm: a message that is sent and not counted. There it is deferred.

Source: https://docs.python.org/3/library/signal.html#signals-and-threads
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

WAKE_EVERY_S = 0.1

T = TypeVar("T")

# The functions themselves, without the wrappers that look each handler up in an enumeration: a
# publisher calls them twice a message, and the wrappers take 14 microseconds for it.
_get_handler: Callable[[int], Any] = _signal.getsignal
_set_handler: Callable[[int, Any], Any] = _signal.signal


class Deferral:
    """Keeps an interrupt back while a `with` block runs, and raises it at the end.

    Within the block, `check` raises it where it does no harm, and `allowed` lets it through for
    the time of somebody else's code, such as the work of a message. Blocks may nest. In other
    threads than the main one, which no interrupt reaches, nothing happens.
    """

    def __init__(self) -> None:
        self.is_pending = False
        self._is_allowed = False
        self._handler: Any = None
        self._outer: list[bool] = []  # for each block: whether interrupts were allowed around it

    def __enter__(self) -> None:
        if not _is_main_thread():
            return
        if not self._outer:
            # One that is ignored, or left to the system, is not ours to defer.
            handler = _get_handler(signal.SIGINT)
            self._handler = handler if callable(handler) else None
            if self._handler is not None:
                _set_handler(signal.SIGINT, self._on_interrupt)
        # In this order, an interrupt comes before the first step or after the last one.
        was_allowed, self._is_allowed = self._is_allowed, False
        self._outer.append(was_allowed)

    def __exit__(self, *_: object) -> None:
        if not _is_main_thread():
            return
        self._is_allowed = self._outer.pop()
        if not self._outer and self._handler is not None:
            _set_handler(signal.SIGINT, self._handler)
        if self.is_pending and (self._is_allowed or not self._outer):
            self._interrupt()

    def check(self) -> None:
        """Raise an interrupt that came meanwhile."""
        if self.is_pending and _is_main_thread():
            self._interrupt()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_allowed:
            self._handler(number, frame)
        else:
            self.is_pending = True

    def _interrupt(self) -> None:
        self.is_pending = False
        self._handler(signal.SIGINT, None)


class Allowance:
    """Lets interrupts through for the time of a `with` block inside a deferral."""

    def __init__(self, deferral: Deferral) -> None:
        self._deferral = deferral

    def __enter__(self) -> None:
        if self._deferral._outer and _is_main_thread():
            self._deferral._is_allowed = True
            self._deferral.check()

    def __exit__(self, *_: object) -> None:
        if self._deferral._outer and _is_main_thread():
            self._deferral._is_allowed = False


# A signal has one handler in a process, and so these are one in a process, too.
deferred = Deferral()
allowed = Allowance(deferred)


def interruptible(items: Iterable[T]) -> Iterator[T]:
    """Go through somebody else's items inside a deferral; an interrupt may end the wait for one."""
    iterator = iter(items)
    while True:
        with allowed:
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def wait_until(condition: Callable[[], bool], timeout_s: float, *, every_s: float = 0.02) -> bool:
    """Return True as soon as a condition holds, or False if it does not within the time.

    Args:
        condition: whether it is so; is asked once at least.
        timeout_s: how long to wait, in seconds.
        every_s: how long to sleep before it is asked again, in seconds.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(every_s)
    return True
