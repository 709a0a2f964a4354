"""Frames of a run of a workload, from events made by hand."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from rmqlab.engine import Task
from rmqlab.experiments import Job, Run, Runs, Workload
from rmqlab.measure import Ledger, by_message_id

# Times are those of a clock that started long ago; the workers begin at 100.
STARTED_S = 100.0
NS = 1_000_000_000

Event = tuple[float, str, int] | tuple[float, str, int, str] | tuple[float, str, int, str, bool]


def _workload(count: int) -> Workload:
    jobs = [
        Job(Task(f"engine-{number}", "process", {"recording_min": 1}), 0.0, 1.0) for number in range(count)
    ]
    return Workload(tuple(jobs), 1.0)


def _ledger(*events: Event) -> Ledger:
    """Make a ledger of (time_s, what happened, message, worker, redelivered)."""
    now_s = 0.0
    ledger = Ledger(clock=lambda: int(now_s * NS))
    publisher = ledger.publisher()
    workers = {name: ledger.consumer(name, identify=by_message_id) for name in ("worker-1", "worker-2")}
    tags: dict[tuple[str, int], int] = {}
    for now_s, event, message, *rest in events:  # noqa: B007 - the clock reads it
        if event == "published":
            publisher.published(message)
            continue
        name = str(rest[0])
        if event == "delivered":
            tags[name, message] = len(workers[name]) + 1
            properties = SimpleNamespace(message_id=str(message))
            workers[name].delivered(tags[name, message], len(rest) > 1, properties, b"")
        else:
            workers[name].settled(tags[name, message], False, event)
    return ledger


def _run(*events: Event, count: int, workers: int = 1) -> Run:
    return Run(_workload(count), _ledger(*events), "4.0.5", workers, 1, int(STARTED_S * NS))


@pytest.fixture
def run() -> Run:
    """Message 0 is done at once; 1 is requeued and done by the other; 2 is rejected."""
    return _run(
        (99.0, "published", 0),
        (99.5, "published", 1),
        (100.0, "delivered", 0, "worker-1"),
        (100.5, "delivered", 1, "worker-2"),
        (101.0, "acked", 0, "worker-1"),
        (101.0, "requeued", 1, "worker-2"),
        (101.0, "published", 2),
        (101.5, "delivered", 1, "worker-1", True),
        (102.0, "delivered", 2, "worker-2"),
        (102.5, "rejected", 2, "worker-2"),
        (104.0, "acked", 1, "worker-1", True),
        count=3,
        workers=2,
    )


def test_tasks_tell_what_became_of_each(run: Run) -> None:
    tasks = run.tasks()

    assert set(tasks.columns) == {
        *("message", "engine_id", "workers", "worker", "published_s", "delivered_s", "settled_s"),
        *("due_s", "lag_ms", "wait_ms", "work_ms", "outcome", "deliveries"),
    }
    assert list(tasks["message"]) == [0, 1, 2]
    assert list(tasks["engine_id"]) == ["engine-0", "engine-1", "engine-2"]
    assert list(tasks["outcome"]) == ["acked", "acked", "rejected"]
    assert list(tasks["deliveries"]) == [1, 2, 1]
    assert list(tasks["worker"]) == ["worker-1", "worker-1", "worker-2"]
    assert set(tasks["workers"]) == {2}


def test_times_of_tasks_count_from_the_workers_beginning(run: Run) -> None:
    tasks = run.tasks()

    assert list(tasks["published_s"]) == pytest.approx([-1.0, -0.5, 1.0])
    assert list(tasks["delivered_s"]) == pytest.approx([0.0, 0.5, 2.0])
    assert list(tasks["settled_s"]) == pytest.approx([1.0, 4.0, 2.5])


def test_a_replay_says_how_late_each_task_was_published(run: Run) -> None:
    assert run.tasks()["lag_ms"].isna().all()

    replay = dataclasses.replace(run, replayed_ns=int((STARTED_S - 1.25) * NS))
    assert list(replay.tasks()["due_s"]) == pytest.approx([-1.25] * 3)
    assert list(replay.tasks()["lag_ms"]) == pytest.approx([250, 750, 2250])


def test_waiting_counts_from_the_workers_beginning_or_from_publishing_if_later(run: Run) -> None:
    tasks = run.tasks()

    assert list(tasks["wait_ms"]) == pytest.approx([0, 500, 1000])
    assert list(tasks["work_ms"]) == pytest.approx([1000, 3500, 500])


def test_a_task_that_nobody_took_is_still_a_row() -> None:
    tasks = _run(
        (100.0, "published", 0),
        (100.0, "published", 1),
        (101.0, "delivered", 0, "worker-1"),
        (102.0, "acked", 0, "worker-1"),
        count=2,
    ).tasks()

    assert list(tasks["message"]) == [0, 1]
    assert list(tasks["outcome"].isna()) == [False, True]
    assert list(tasks["worker"].isna()) == [False, True]
    assert list(tasks["delivered_s"].isna()) == [False, True]
    assert list(tasks["deliveries"]) == [1, 0]


def test_summary_counts_what_happened(run: Run) -> None:
    summary = run.summary()

    assert list(summary.columns) == [
        *("workers", "prefetch", "published", "received", "acked", "rejected", "redelivered"),
        *(
            "work_s",
            "makespan_s",
            "ideal_s",
            "rate_msg_s",
            "efficiency",
            "overhead_ms",
            "busy_core_s",
            "lag_p99_ms",
            "rabbitmq",
            "pika",
            "cores",
        ),
    ]
    (row,) = summary.to_dict("records")
    assert (row["published"], row["received"], row["acked"], row["rejected"]) == (3, 4, 2, 1)
    assert row["redelivered"] == 1
    assert row["rabbitmq"] == "4.0.5"


def test_summary_compares_with_the_ideal(run: Run) -> None:
    (row,) = run.summary().to_dict("records")

    assert row["work_s"] == 3.0
    assert row["ideal_s"] == 1.5
    assert row["makespan_s"] == 4.0
    assert row["rate_msg_s"] == 0.5
    assert row["efficiency"] == pytest.approx(0.375)
    assert row["overhead_ms"] == pytest.approx((4.0 - 1.5) * 2 / 3 * 1000)


def test_depth_follows_the_queue(run: Run) -> None:
    depth = run.depth()

    assert list(depth.columns) == ["workers", "time_s", "ready", "unacked"]
    assert list(depth["ready"]) == [1, 2, 1, 0, 1, 1, 2, 1, 0, 0, 0]
    assert list(depth["unacked"]) == [0, 0, 1, 2, 2, 1, 0, 1, 2, 1, 0]
    assert depth["time_s"].iloc[0] == -1.0


def test_depth_is_never_negative_when_all_happens_at_one_moment() -> None:
    events: list[Event] = []
    for message in range(100):
        events += [
            (100.0, "published", message),
            (100.0, "delivered", message, "worker-1"),
            (100.0, "requeued", message, "worker-1"),
            (100.0, "delivered", message, "worker-2", True),
            (100.0, "acked", message, "worker-2"),
        ]
    depth = _run(*events, count=100).depth()

    assert depth[["ready", "unacked"]].to_numpy().min() == 0
    assert list(depth[["ready", "unacked"]].iloc[-1]) == [0, 0]


def test_depth_knows_that_a_task_of_a_lost_worker_was_back_in_the_queue() -> None:
    depth = _run(
        (100.0, "published", 0),
        (101.0, "delivered", 0, "worker-1"),
        (103.0, "delivered", 0, "worker-2", True),
        (104.0, "acked", 0, "worker-2"),
        count=1,
    ).depth()

    assert list(depth["time_s"]) == [0, 1, 3, 3, 4]
    assert list(depth["ready"]) == [1, 0, 1, 0, 0]
    assert list(depth["unacked"]) == [0, 1, 0, 1, 0]


def test_runs_put_the_frames_of_each_run_below_each_other(run: Run) -> None:
    runs = Runs({"a": run, "b": run}, by="case")

    assert len(runs.summary()) == 2
    assert len(runs.tasks()) == 6
    assert len(runs.depth()) == 2 * len(run.depth())
    assert list(runs.tasks().index) == list(range(6))
    assert list(runs.summary()["case"]) == ["a", "b"]


def test_reprs_are_short_and_the_same_each_time(run: Run) -> None:
    assert repr(run) == "<Run of 3 tasks by 2 workers>"
    assert repr(Runs({1: run, 2: run}, by="workers")) == "<2 runs by workers>"
