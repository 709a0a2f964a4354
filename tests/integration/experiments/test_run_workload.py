"""Workloads run through workers against a real broker."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pika
import pytest

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import Job, Workload, load_workload, run_each, run_workload


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workload(work_s=0.6, day_s=0.3).head(40)


pytestmark = pytest.mark.usefixtures("no_thread_stays")


def _jobs(*jobs: tuple[float, float]) -> Workload:
    """Jobs by arrival and duration in seconds."""
    return Workload(
        tuple(
            Job(Task(f"engine-{number}", "process", {"recording_min": duration_s}), arrival_s, duration_s)
            for number, (arrival_s, duration_s) in enumerate(jobs)
        ),
        1.0,
    )


def _ready(broker: Broker) -> int:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        return connection.channel().queue_declare(names.TASKS, passive=True).method.message_count


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_task_is_done_once(broker, workload, replay: bool, workers: int) -> None:
    run = run_workload(broker, workload, workers=workers, replay=replay, progress=False)

    (row,) = run.summary().to_dict("records")
    assert row["published"] == row["received"] == row["acked"] == len(workload)
    assert row["rejected"] == row["redelivered"] == 0
    tasks = run.tasks()
    assert (tasks["deliveries"] == 1).all()
    assert (tasks["outcome"] == "acked").all()
    assert list(tasks["engine_id"]) == [job.task.engine_id for job in workload]
    assert set(tasks["worker"]) <= {f"worker-{number + 1}" for number in range(workers)}
    assert _ready(broker) == 0


def test_a_run_says_where_it_was_measured(broker, workload) -> None:
    run = run_workload(broker, workload.head(3), workers=2, prefetch_count=5, progress=False)

    (row,) = run.summary().to_dict("records")
    assert row["rabbitmq"] == broker.version
    assert row["pika"] == pika.__version__
    assert (row["workers"], row["prefetch"]) == (2, 5)


def test_without_replay_all_tasks_wait_before_the_first_is_delivered(broker, workload) -> None:
    run = run_workload(broker, workload, progress=False)

    assert run.tasks()["published_s"].max() < run.tasks()["delivered_s"].min()
    assert run.depth()["ready"].max() == len(workload)


def test_with_replay_tasks_are_published_no_earlier_than_they_arrive(broker) -> None:
    workload = _jobs((0, 0.001), (0.2, 0.001), (0.4, 0.001))
    tasks = run_workload(broker, workload, replay=True, progress=False).tasks()
    published = tasks["published_s"]

    gaps = published.diff().dropna()
    assert gaps.min() > 0.1
    assert published.iloc[-1] >= 0.4
    assert (tasks["lag_ms"] >= 0).all()


def test_depth_is_never_negative_and_ends_at_zero(broker, workload) -> None:
    depth = run_workload(broker, workload, workers=4, replay=True, progress=False).depth()

    assert depth[["ready", "unacked"]].to_numpy().min() >= 0
    assert depth["unacked"].max() <= 4
    assert list(depth[["ready", "unacked"]].iloc[-1]) == [0, 0]


def test_a_run_takes_at_least_its_share_of_the_work(broker, workload) -> None:
    run = run_workload(broker, workload, workers=2, progress=False)

    assert run.makespan_s >= workload.work_s / 2
    assert 0 < run.summary()["efficiency"].item() <= 1


def test_the_queue_is_emptied_first(broker, workload) -> None:
    with EngineAPI(broker) as api:
        for _ in range(10):
            api.publish_task(Task("left", "over"), message_id="0")

    run = run_workload(broker, workload.head(5), progress=False)

    assert run.summary()["received"].item() == 5


def test_runs_with_several_numbers_of_workers_are_put_side_by_side(broker, workload) -> None:
    runs = run_each(broker, workload.head(10), workers=[1, 2], progress=False)

    assert list(runs.summary()["workers"]) == [1, 2]
    assert len(runs.tasks()) == 20


def test_tasks_that_fail_are_counted_as_rejected(broker, workload, caplog) -> None:
    bad = Job(Task("engine-x", "process", {"no recording": True}), 0.0, 0.001)
    run = run_workload(broker, Workload((*workload.jobs[:2], bad), workload.seconds_per_min), progress=False)

    (row,) = run.summary().to_dict("records")
    assert (row["acked"], row["rejected"]) == (2, 1)
    assert list(run.tasks()["outcome"]) == ["acked", "acked", "rejected"]
    assert "message 2 failed" in caplog.text


def test_a_progress_bar_goes_to_standard_output_and_reaches_the_end(broker, workload, capsys) -> None:
    run_workload(broker, workload.head(5), workers=2)

    shown = capsys.readouterr()
    assert "2 workers" in shown.out
    assert "5/5" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(("replay", "prefetch_count"), [(False, 0), (True, 1)])
def test_a_time_limit_ends_the_run_with_what_was_done(broker, replay, prefetch_count) -> None:
    # Were the rest of the tasks waited for, this would take most of a minute.
    slow = _jobs((0, 0.01), *[(0, 1)] * 40, (60, 1))
    started_s = time.monotonic()

    with pytest.raises(BrokerError, match=r"Only 1 of 42 tasks.*Next: "):
        run_workload(
            broker, slow, replay=replay, prefetch_count=prefetch_count, timeout_s=0.5, progress=False
        )

    assert time.monotonic() - started_s < 15


def test_a_queue_that_is_deleted_meanwhile_ends_the_run(broker) -> None:
    with pytest.raises(BrokerError, match="its queue is gone"):
        run_workload(
            broker,
            _jobs(*[(0, 0.1)] * 100),
            workers=2,
            execute=lambda _: _delete_queue(broker),
            progress=False,
            timeout_s=30,
        )


def _delete_queue(broker: Broker) -> None:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        connection.channel().queue_delete(names.TASKS)


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(broker, workload, workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        run_workload(broker, workload, workers=workers)


def test_there_is_at_least_one_task(broker, workload) -> None:
    with pytest.raises(ValueError, match="no tasks"):
        run_workload(broker, workload.head(0), timeout_s=1)


def test_a_prefetch_that_is_out_of_range_is_told_to_the_caller(broker, workload) -> None:
    with pytest.raises(ValueError, match="prefetch_count"):
        run_workload(broker, workload.head(2), prefetch_count=-1, progress=False)


INTERRUPTED = """
import contextlib, os, signal, threading
from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import start_broker
from rmqlab.engine import Task
from rmqlab.experiments import Job, Workload, run_workload

first = threading.Lock()

class Interrupted(Workload):
    def execute(self, task):
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        Workload.execute(self, task)

job = Job(Task("e", "a", {"recording_min": 0.05}), 0.0, 0.05)
with start_broker() as broker:
    try:
        run_workload(broker, Interrupted((job,) * 1000, 1.0), workers=3, replay=REPLAY, progress=False)
    except KeyboardInterrupt:
        print("interrupted")
    print([thread.name for thread in threading.enumerate() if thread.name != "tqdm_monitor"])
    with contextlib.closing(connect(broker)) as connection:
        print(connection.channel().queue_declare(names.TASKS, passive=True).method.consumer_count)
"""


@pytest.mark.parametrize("replay", [False, True])
def test_an_interrupt_leaves_no_thread_and_no_consumer(broker, replay: bool) -> None:
    # Without management, the other process shares our virtual host, and wants its name free.
    with contextlib.closing(connect(broker)) as connection:
        connection.channel().queue_delete(names.TASKS)
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.replace("REPLAY", str(replay))],
        env=os.environ | broker.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.stdout.splitlines() == ["interrupted", "['MainThread']", "0"], run.stderr
    assert run.returncode == 0
