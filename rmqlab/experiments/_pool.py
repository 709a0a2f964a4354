"""Several engine workers or subscribers at once, each in a thread and with a connection of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from rmqlab.amqp import Crash
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError
from rmqlab.interrupts import wait_until

READY_TIMEOUT_S = 30
STOP_EVERY_S = 0.05
LOOK_EVERY_S = 0.002


class Member(Protocol):
    """Who can be in a pool, such as an `EngineWorker` or an `EventSubscriber`."""

    def run(self) -> object:
        """Consume until `stop` is called."""

    def stop(self) -> None:
        """Let `run` return soon; called from another thread."""

    def close(self) -> None:
        """Close the connection."""


class WorkerPool(Closing):
    """Workers, each in a thread that makes it, which are all connected before any consumes.

    A worker that crashes is gone: `crashed` has its number and when, in ns. One that fails otherwise
    ends the pool.
    """

    def __init__(self, size: int, make_worker: Callable[[int], Member]) -> None:
        self._size = size
        self._make_worker = make_worker
        self._workers: list[Member] = []
        self.crashed: dict[int, int] = {}
        self._begin = threading.Event()
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="worker")
        self._futures: list[Future[None]] = []

    def __enter__(self) -> WorkerPool:
        self._futures = [self._threads.submit(self._work, number) for number in range(self._size)]
        try:
            if not wait_until(self._are_all_connected, READY_TIMEOUT_S, every_s=LOOK_EVERY_S):
                raise BrokerError(
                    f"Not all of {self._size} workers could connect within {READY_TIMEOUT_S} s. "
                    "Next: see how busy the machine and the broker are"
                )
        except BaseException:
            self.close()
            raise
        return self

    def begin(self) -> None:
        """Let all workers consume."""
        self._begin.set()

    def check(self) -> None:
        """Raise what ended a worker, if one has ended."""
        for future in self._futures:
            if future.done():
                future.result()

    def _are_all_connected(self) -> bool:
        self.check()
        return len(self._workers) == self._size

    def _work(self, number: int) -> None:
        with contextlib.closing(self._make_worker(number)) as worker:
            self._workers.append(worker)
            self._begin.wait()
            if not self._stopping.is_set():
                try:
                    worker.run()
                except Crash:
                    self.crashed[number] = time.perf_counter_ns()

    def close(self) -> None:
        """Let each worker finish the task in hand, and close it. Safe to call twice."""
        self._stopping.set()
        self._begin.set()
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                # Again and again: a worker may have connected only after the last call.
                for worker in list(self._workers):
                    worker.stop()
                if not wait(self._futures, timeout=STOP_EVERY_S).not_done:
                    break
            except KeyboardInterrupt as again:  # the threads end soon: leave none behind
                interrupt = again
        self._threads.shutdown()
        if interrupt:
            raise interrupt
