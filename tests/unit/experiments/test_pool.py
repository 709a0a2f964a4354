"""Several workers in threads, without a broker."""

from __future__ import annotations

import threading
import time

import pytest

from rmqlab.errors import BrokerError
from rmqlab.experiments._pool import WorkerPool


class Idle:
    """A worker that does nothing until it is stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self) -> None:
        self._stopped.wait(5)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        pass


def test_all_workers_together_have_one_time_limit_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqlab.experiments._pool.READY_TIMEOUT_S", 0.5)

    def make_worker(number: int) -> Idle:
        time.sleep(0.4 * (number + 1))  # each within the limit of the one before it
        return Idle()

    with pytest.raises(BrokerError, match=r"Not all of 4 workers could connect within 0.5 s. Next: "):
        with WorkerPool(4, make_worker):
            pass
