"""Runs in which workers crash and tasks fail: how they end, and the outcome of the tasks."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from helpers import channel_to

from rmqlab import names
from rmqlab.amqp import Queue, Topology, ack_every, auto_ack, purge
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.experiments import (
    Workload,
    WorkloadConfig,
    capture_failures,
    crash_after,
    crash_before,
    load_workload,
    run_workload,
)
from rmqlab.measure import Ledger, by_message_id
from rmqlab.measure._account import Totals

DEAD = "rmqlab-test-dead"
CLASSIC = "rmqlab-test-classic"
QUORUM = "rmqlab-test-quorum"
LIMIT = 2
ENOUGH = 10
QUEUES = Topology(
    queues=[
        Queue(name=CLASSIC, dead_letter_exchange="", dead_letter_routing_key=DEAD),
        Queue(
            name=QUORUM,
            type="quorum",
            delivery_limit=LIMIT,
            dead_letter_exchange="",
            dead_letter_routing_key=DEAD,
        ),
        Queue(name=DEAD),
    ]
)


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workload(work_s=0.6, day_s=0.3).head(60)


pytestmark = pytest.mark.usefixtures("no_thread_stays")


@pytest.fixture
def fail(workload: Workload) -> Callable[[Task], None]:
    """Work that fails with every twentieth task."""
    bad = {job.task.data["flight"] for job in workload.jobs[10::20]}

    def work(task: Task) -> None:
        if task.data["flight"] in bad:
            raise ValueError("damaged")
        workload.execute(task)

    return work


def _run(broker: Broker, workload: Workload, **options: Any) -> tuple[Totals, pd.DataFrame]:
    config = WorkloadConfig(workload=workload, **options)
    result = run_workload(broker, config)
    return result.ledgers["run"].totals(), result.frame("tasks")


def _fail(
    broker: Broker, workload: Workload, queue: str, *, workers: int = 2, **options: Any
) -> tuple[Totals, pd.DataFrame]:
    with capture_failures():
        return _run(
            broker,
            workload,
            workers=[queue] * workers,
            topology=QUEUES,
            publish=lambda api, task, message: api.publish_task(task, queue=queue, message_id=message),
            **options,
        )


# --- crashes ------------------------------------------------------------------------------


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("ack", [None, ack_every(5)], ids=["each", "every 5"])
def test_what_a_crashed_worker_held_is_done_by_others(broker, workload, replay, ack) -> None:
    work = crash_before(workload.execute, 20)
    options = {"workers": 3, "prefetch_count": 10, "ack": ack, "replay": replay}
    totals, tasks = _run(broker, workload, execute=work, **options)

    assert totals.published == totals.acked == len(workload)
    assert 1 <= totals.redelivered <= 10
    assert (tasks["outcome"] == "acked").all()


def test_with_automatic_acknowledgement_it_is_lost_and_the_run_ends_all_the_same(broker, workload) -> None:
    work = crash_before(workload.execute, 20)
    started_s = time.monotonic()
    totals, _ = _run(broker, workload, workers=3, ack=auto_ack(), execute=work, timeout_s=60)

    assert totals.acked < totals.published == len(workload)
    assert totals.redelivered == 0
    assert time.monotonic() - started_s < 30
    broker.wait_for_queue(names.TASKS, ready=0, consumers=0)


def test_work_done_before_a_crash_is_done_again(broker, workload) -> None:
    done: list[str] = []

    def work(task: Task) -> None:
        done.append(task.data["flight"])

    totals, _ = _run(broker, workload, workers=3, execute=crash_after(work, 20, 40))

    assert totals.acked == len(workload)
    assert totals.redelivered == 2
    assert len(done) == len(workload) + 2
    assert len(set(done)) == len(workload)


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


# --- failures -----------------------------------------------------------------------------


def test_requeued_tasks_come_back_until_the_run_ends(broker, workload, fail) -> None:
    options = {"on_failure": "requeue", "until": lambda ledger: ledger.done >= 57}
    totals, tasks = _fail(broker, workload, CLASSIC, workers=4, execute=fail, **options)

    assert (totals.acked, totals.rejected) == (57, 0)
    assert totals.redelivered >= 3
    assert (tasks.loc[10::20, "outcome"] == "requeued").all()
    assert tasks.loc[10::20, "deliveries"].min() > 1


def test_as_many_failing_tasks_as_workers_stop_everything(broker, workload, fail) -> None:
    totals, _ = _fail(broker, workload, CLASSIC, on_failure="requeue", execute=fail, for_s=2)

    # Number 10 captures one worker and number 30 the other: 29 of the 30 before it are good.
    assert totals.acked <= 29
    assert totals.redelivered > 20


@pytest.mark.parametrize("queue", [CLASSIC, QUORUM])
@pytest.mark.parametrize("on_failure", ["dead-letter", "reject"])
def test_failed_tasks_go_to_the_dead_letters(broker, workload, fail, queue, on_failure) -> None:
    totals, _ = _fail(broker, workload, queue, on_failure=on_failure, execute=fail)

    assert (totals.acked, totals.rejected, totals.redelivered) == (57, 3, 0)
    broker.wait_for_queue(DEAD, ready=3)
    broker.wait_for_queue(queue, ready=0)


def test_a_delivery_limit_counts_what_is_given_back_by_reject(broker, workload, fail) -> None:
    deliveries = 57 + 3 * (1 + LIMIT)
    options = {"on_failure": "reject-requeue", "until": lambda ledger: ledger.received >= deliveries}
    totals, _ = _fail(broker, workload, QUORUM, execute=fail, **options)

    assert (totals.acked, totals.requeued) == (57, 3 * (1 + LIMIT))
    assert totals.redelivered == 3 * LIMIT
    broker.wait_for_queue(DEAD, ready=3)
    broker.wait_for_queue(QUORUM, ready=0)


def test_a_worker_that_gives_back_by_reject_does_a_task_that_fails_once(broker) -> None:
    failures, ledger = [RuntimeError("once")], Ledger()
    recorder = ledger.consumer(identify=by_message_id)

    def fail_once(_: Task) -> None:
        if failures:
            raise failures.pop()

    with EngineAPI(broker) as api:
        api.publish_task(Task("engine-1", "process"), message_id="0")
    with (
        capture_failures(),
        EngineWorker(broker, fail_once, on_failure="reject-requeue", observer=recorder) as worker,
    ):
        worker.run(count=2, for_s=30)

    totals = ledger.totals()
    assert (totals.requeued, totals.acked, totals.redelivered) == (1, 1, 1)
    broker.wait_for_queue(names.TASKS, ready=0)


@pytest.mark.parametrize("topology", [None, TOPOLOGY, QUEUES], ids=["default", "engine's", "other queues"])
def test_dead_letters_need_a_place_to_go(broker, topology) -> None:
    with pytest.raises(ValueError, match="no dead-letter exchange for the queue 'engine:tasks'"):
        EngineWorker(broker, print, on_failure="dead-letter", topology=topology)


def test_a_body_that_is_no_task_is_dead_lettered_whatever_the_policy(broker, caplog) -> None:
    QUEUES.declare(broker)
    purge(broker, DEAD, CLASSIC)
    with channel_to(broker) as channel:
        channel.basic_publish("", CLASSIC, b"not json")
    with EngineWorker(broker, print, queue=CLASSIC, topology=QUEUES, on_failure="requeue") as worker:
        worker.run(count=1, for_s=30)

    broker.wait_for_queue(DEAD, ready=1)


# --- bounds of a run ------------------------------------------------------------------------


def test_a_run_ends_when_enough_is_done(broker, workload) -> None:
    done = itertools.count(1)
    others_last = threading.Event()

    def quick_until_enough(_: Task) -> None:
        if next(done) > ENOUGH:
            others_last.wait(0.5)

    totals, _ = _run(
        broker,
        workload,
        execute=quick_until_enough,
        until=lambda ledger: ledger.done >= ENOUGH,
    )

    assert ENOUGH <= totals.acked < len(workload)


def test_a_run_ends_after_its_time(broker) -> None:
    slow = load_workload(work_s=400).head(60)
    started_s = time.monotonic()
    totals, _ = _run(broker, slow, for_s=0.5)

    assert totals.acked < 60
    assert time.monotonic() - started_s < 15
