"""Work that goes wrong on purpose: when it does, and what is logged of it."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rmqlab.engine import Crash
from rmqlab.experiments import capture_failures, crash_after, crash_before
from rmqlab.measure._report import busy_core_s

LOGGER = logging.getLogger("rmqlab.amqp")


def _call(work, tasks) -> list[int]:
    """Do tasks, and return those whose worker crashed."""
    crashed = []
    for task in tasks:
        try:
            work(task)
        except Crash:
            crashed.append(task)
    return crashed


@pytest.mark.parametrize(("faulty", "worked"), [(crash_before, [1, 3, 5]), (crash_after, [1, 2, 3, 4, 5])])
def test_a_crash_comes_before_or_after_the_work(faulty, worked: list[int]) -> None:
    done: list[int] = []

    assert _call(faulty(done.append, 2, 4), range(1, 6)) == [2, 4]
    assert done == worked


@pytest.mark.parametrize("faulty", [crash_before, crash_after])
def test_workers_share_one_count_of_calls(faulty) -> None:
    work = faulty(lambda _: None, 100)

    with ThreadPoolExecutor(8) as threads:
        crashed = list(threads.map(lambda _: _call(work, range(50)), range(8)))

    assert sum(len(each) for each in crashed) == 1


def _fail(message: str) -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        LOGGER.exception("message %s failed", message)


def test_failures_are_counted_instead_of_logged_and_the_rest_is_logged(caplog) -> None:
    with capture_failures() as failures:
        _fail("7")
        _fail("8")
        LOGGER.error("message 9 rejected: unwanted")

    assert failures.count == 2
    assert failures.first == "message 7 failed: RuntimeError: broken"
    assert caplog.messages == ["message 9 rejected: unwanted"]


def test_failures_are_logged_again_afterwards(caplog) -> None:
    with pytest.raises(KeyboardInterrupt), capture_failures():
        raise KeyboardInterrupt
    _fail("7")

    assert "message 7 failed" in caplog.text
    assert LOGGER.filters == []


def test_busy_cores_are_busy_for_longer_when_something_runs() -> None:
    before = busy_core_s()
    ends_s = time.process_time() + 0.2
    while time.process_time() < ends_s:
        pass

    assert busy_core_s() - before >= 0.15  # the clock of the cores ticks every 10 ms
