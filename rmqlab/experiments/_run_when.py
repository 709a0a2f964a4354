"""Do something during something else, as soon as something is so."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

LOOK_EVERY_S = 0.001

T = TypeVar("T")


@contextlib.contextmanager
def run_when(action: Callable[[], T], *, when: Callable[[], bool]) -> Iterator[Future[T]]:
    """Do something in another thread while a block runs, as soon as something is so.

        with run_when(broker.kill, when=lambda: ledger.published > 1000) as outage:
            ...

    The block is left when the action is over. If the block ends first, nothing is done.

    Args:
        action: what is to be done, once.
        when: looked at every millisecond or so, in the other thread, until it is true.

    Returns:
        A context manager that gives the action's future: `result()` is what it returned.

    Raises:
        Exception: whatever the action, or `when`, raised.
    """
    is_over = threading.Event()

    def run() -> T:
        while not when():
            if is_over.wait(LOOK_EVERY_S):
                raise CancelledError
        return action()

    with ThreadPoolExecutor(1) as thread:
        try:
            outcome = thread.submit(run)
            yield outcome
        finally:
            is_over.set()
    with contextlib.suppress(CancelledError):
        outcome.result()
