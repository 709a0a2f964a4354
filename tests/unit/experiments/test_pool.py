"""Several workers in threads, without a broker."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from rmqlab.errors import BrokerError
from rmqlab.experiments._pool import WorkerPool


def test_all_workers_together_have_one_time_limit_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqlab.experiments._pool.READY_TIMEOUT_S", 0.5)

    def make_worker(number: int) -> Mock:
        time.sleep(0.4 * (number + 1))  # each within the limit of the one before it
        return Mock()

    with pytest.raises(BrokerError, match=r"Not all of 4 workers could connect within 0.5 s. Next: "):
        with WorkerPool(4, make_worker):
            pass
