"""Workloads run through workers against a real broker."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import time

import pytest
from helpers import channel_to

from rmqlab import names
from rmqlab.engine import EngineAPI, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import Workload, WorkloadConfig, load_workload, run_workload
from rmqlab.experiments.workload import Job

pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.fixture(scope="module")
def config() -> WorkloadConfig:
    return WorkloadConfig(workload=load_workload(work_s=0.6, day_s=0.3).head(40))


def _config(*jobs: tuple[float, float], **options: object) -> WorkloadConfig:
    """Configure a run of jobs by arrival and duration in seconds."""
    workload = Workload(
        tuple(
            Job(Task(f"engine-{number}", "process", {"recording_min": duration_s}), arrival_s, duration_s)
            for number, (arrival_s, duration_s) in enumerate(jobs)
        ),
        1.0,
    )
    return WorkloadConfig(workload=workload, **options)


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_task_is_done_once_and_nothing_that_was_left(
    broker, channel, config, replay: bool, workers: int
) -> None:
    with EngineAPI(broker) as api:
        for _ in range(10):
            api.publish_task(Task("left", "over"), message_id="0")
    config = dataclasses.replace(config, workers=workers, replay=replay)
    result = run_workload(broker, config, progress=False)

    (row,) = result.frame().to_dict("records")
    assert row["published"] == row["received"] == row["acked"] == 40
    assert row["rejected"] == row["redelivered"] == 0
    assert (row["workers"], row["prefetch"], row["rabbitmq"]) == (workers, 1, broker.version)
    assert row["makespan_s"] >= config.workload.work_s / workers
    tasks = result.frame("tasks")
    assert (tasks["deliveries"] == 1).all()
    assert (tasks["outcome"] == "acked").all()
    assert list(tasks["engine_id"]) == [job.task.engine_id for job in config.workload]
    assert set(tasks["worker"]) <= {f"worker-{number + 1}" for number in range(workers)}
    assert replay or tasks["published_s"].max() < tasks["delivered_s"].min()
    depth = result.frame("depth")[["ready", "unacked"]]
    assert depth.to_numpy().min() >= 0
    assert depth["unacked"].max() <= workers
    assert list(depth.iloc[-1]) == [0, 0]
    assert channel.queue_declare(names.TASKS, passive=True).method.message_count == 0


def test_with_replay_tasks_are_published_no_earlier_than_they_arrive(broker) -> None:
    config = _config((0, 0.001), (0.2, 0.001), (0.4, 0.001), replay=True)
    tasks = run_workload(broker, config, progress=False).frame("tasks")

    assert tasks["published_s"].iloc[-1] >= 0.4
    assert (tasks["lag_ms"] >= 0).all()


def test_a_progress_bar_goes_to_standard_output_and_reaches_the_end(broker, capsys) -> None:
    run_workload(broker, _config(*[(0, 0.001)] * 5, workers=2))

    shown = capsys.readouterr()
    assert "2 workers" in shown.out
    assert "5/5" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(("replay", "prefetch_count"), [(False, 0), (True, 1)])
def test_a_time_limit_ends_the_run_with_what_was_done(broker, replay, prefetch_count) -> None:
    # Were the rest of the tasks waited for, this would take most of a minute.
    jobs = [(0, 0.01), *[(0, 1)] * 40, (60, 1)]
    config = _config(*jobs, workers=1, replay=replay, prefetch_count=prefetch_count, timeout_s=0.5)
    started_s = time.monotonic()

    with pytest.raises(BrokerError, match=r"Only 1 of 42 tasks.*Next: "):
        run_workload(broker, config, progress=False)

    assert time.monotonic() - started_s < 15


def test_a_queue_that_is_deleted_during_the_run_ends_it(broker) -> None:
    def delete_queue(_: Task) -> None:
        with channel_to(broker) as channel:
            channel.queue_delete(names.TASKS)

    config = _config(*[(0, 0.1)] * 100, workers=2, execute=delete_queue, timeout_s=30)
    with pytest.raises(BrokerError, match="its queue is gone"):
        run_workload(broker, config, progress=False)


@pytest.mark.usefixtures("interrupts_as_in_a_terminal")
@pytest.mark.parametrize("replay", [False, True])
def test_an_interrupt_leaves_no_thread_and_no_consumer(broker, replay: bool) -> None:
    calls = itertools.count(1)

    def execute(_: Task) -> None:
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    config = _config(*[(0, 0.05)] * 1000, workers=3, execute=execute, replay=replay)
    with pytest.raises(KeyboardInterrupt):
        run_workload(broker, config, progress=False)

    broker.wait_for_queue(names.TASKS, consumers=0)
