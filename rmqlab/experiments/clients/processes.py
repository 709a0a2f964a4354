"""Run jobs in other processes, with a time limit, and leave no process behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, BrokenExecutor, Executor, ProcessPoolExecutor, wait
from typing import TypeVar

from rmqlab.errors import RmqlabError, TimeLimitError
from rmqlab.interrupts import WAKE_EVERY_S

T = TypeVar("T")


@contextlib.contextmanager
def process_pool(size: int) -> Iterator[Executor]:
    """Make a pool of new processes; if the block raises, they are ended at once."""
    others = set(multiprocessing.active_children())
    # New processes rather than forks: a fork would share this one's connections and locks.
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def run_jobs(jobs: Sequence[Callable[[], T]], *, timeout_s: float, executor: Executor) -> list[T]:
    """Run jobs at the same time, and return what they returned; the first that fails ends the wait."""
    deadline_s = time.monotonic() + timeout_s
    futures = [executor.submit(job) for job in jobs]
    try:
        while True:
            done, waiting = wait(futures, WAKE_EVERY_S, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if not waiting:
                return [future.result() for future in futures]
            if time.monotonic() > deadline_s:
                raise TimeLimitError(
                    f"{len(waiting)} of {len(jobs)} jobs had not ended after {timeout_s:g} s. "
                    "Next: give fewer messages, or a longer time limit"
                )
    except BrokenExecutor as error:
        raise RmqlabError(
            f"A process ended before its job ({error}). Next: see whether memory ran out, and try again"
        ) from error


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
