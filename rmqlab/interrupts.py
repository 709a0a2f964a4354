"""Waits that Ctrl-C, or the interrupt of a cell, ends at any time.

The system may hand a signal to any thread of a process. Python raises `KeyboardInterrupt` in
the main thread alone, and does so when that one wakes up: so it must not sleep for good.

Source: https://docs.python.org/3/library/signal.html#signals-and-threads
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

WAKE_EVERY_S = 0.1

T = TypeVar("T")


def wait_for(look: Callable[[float], bool]) -> None:
    """Wait until something is so.

    Args:
        look: waits for it, for so many seconds, and says whether it is so: such as the `wait`
            of a `threading.Event`.
    """
    while not look(WAKE_EVERY_S):
        pass


def result_of(future: Future[T]) -> T:
    """Give what a future returns, or raise what it raises."""
    wait_for(lambda seconds: not wait([future], seconds).not_done)
    return future.result()


def exit_code_of(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process ends, and give its exit code."""
    while True:
        try:
            return process.wait(WAKE_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
