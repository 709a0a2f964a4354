"""Runs in which workers crash and tasks fail: how they end, and the outcome of the tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from rmqlab import names
from rmqlab.amqp import ack_every
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineWorker, Task
from rmqlab.experiments import (
    Workload,
    WorkloadConfig,
    capture_failures,
    crash_before,
    load_workload,
    run_workload,
)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workload(work_s=0.6, day_s=0.3).head(60)


pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.fixture
def fail(workload: Workload) -> Callable[[Task], None]:
    """Work that fails with every twentieth task."""
    bad = {job.task.data["flight"] for job in workload.jobs[10::20]}

    def work(task: Task) -> None:
        if task.data["flight"] in bad:
            raise ValueError("damaged")
        workload.execute(task)

    return work


def _run(broker: Broker, workload: Workload, **options: Any) -> tuple[Any, pd.DataFrame]:
    config = WorkloadConfig(workload=workload, **options)
    result = run_workload(broker, config)
    return result.ledgers["run"].totals(), result.frame("tasks")


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("ack", [None, ack_every(5)], ids=["each", "every 5"])
def test_what_a_crashed_worker_held_is_done_by_others(broker, workload, replay, ack) -> None:
    work = crash_before(workload.execute, 20)
    options = {"workers": 3, "prefetch_count": 10, "ack": ack, "replay": replay}
    totals, tasks = _run(broker, workload, execute=work, **options)

    assert totals.published == totals.acked == len(workload)
    assert 1 <= totals.redelivered <= 10
    assert (tasks["outcome"] == "acked").all()


@pytest.mark.parametrize("replay", [False, True])
def test_a_run_whose_workers_have_all_crashed_ends_with_what_was_done(broker, workload, replay) -> None:
    work = crash_before(workload.execute, 5, 10)
    totals, _ = _run(broker, workload, workers=2, execute=work, replay=replay, timeout_s=60)

    assert totals.acked == 8
    broker.wait_for_queue(names.TASKS, ready=len(workload) - 8, consumers=0)


def test_a_crash_is_told_apart_from_a_failure(broker, workload, fail) -> None:
    work = crash_before(fail, 20)
    with capture_failures() as failures:
        totals, _ = _run(broker, workload, workers=2, execute=work)

    assert (totals.acked, totals.rejected) == (57, 3)
    assert failures.count == 3
    assert failures.first == "message 10 failed: ValueError: damaged"


@pytest.mark.parametrize("topology", [None, TOPOLOGY], ids=["default", "engine's"])
def test_dead_letters_need_a_place_to_go(broker, topology) -> None:
    with pytest.raises(ValueError, match="no dead-letter exchange for the queue 'engine:tasks'"):
        EngineWorker(broker, print, on_failure="dead-letter", topology=topology)
