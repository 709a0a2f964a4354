"""Runs of a workload and their frames, from events made by hand."""

from __future__ import annotations

import pytest
from helpers import ledger_of

from rmqlab.engine import Task
from rmqlab.experiments import Result, Workload, WorkloadConfig, load_workload
from rmqlab.experiments.workers import Run, result_of
from rmqlab.experiments.workload import Job

# Times are those of a clock that started long ago; the workers begin at 100.
STARTED_S = 100.0
NS = 1_000_000_000

Event = tuple[float, str, int] | tuple[float, str, int, str] | tuple[float, str, int, str, bool]


def _run(*events: Event, count: int, workers: int = 1, **more: object) -> Run:
    jobs = [Job(Task(f"engine-{number}", "process"), 0.0, 1.0) for number in range(count)]
    config = WorkloadConfig(workload=Workload(tuple(jobs), 1.0), workers=workers)
    return Run(config, ledger_of(*events), int(STARTED_S * NS), **more)


def _result(*events: Event, **options: object) -> Result:
    return result_of({"run": _run(*events, **options)}, "run", {"rabbitmq": "4.0.5"})


# Message 0 is done at once; 1 is requeued and done by the other; 2 is rejected.
EVENTS: list[Event] = [
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
]


@pytest.fixture
def result() -> Result:
    return _result(*EVENTS, count=3, workers=2)


def test_a_task_has_its_outcome_and_its_times_from_the_workers_beginning(result: Result) -> None:
    tasks = result.frame("tasks")

    expected = {
        "run": ["run"] * 3,
        "message": [0, 1, 2],
        "engine_id": ["engine-0", "engine-1", "engine-2"],
        "worker": ["worker-1", "worker-1", "worker-2"],
        "published_s": [-1.0, -0.5, 1.0],
        "delivered_s": [0.0, 0.5, 2.0],
        "settled_s": [1.0, 4.0, 2.5],
        "outcome": ["acked", "acked", "rejected"],
        "deliveries": [1, 2, 1],
        "wait_ms": [0, 500, 1000],  # from the workers' beginning, or from publishing if later
        "work_ms": [1000, 3500, 500],
        "duration_s": [1, 1, 1],
    }
    assert set(tasks.columns) == {*expected, "due_s", "lag_ms"}
    assert tasks[list(expected)].to_dict("list") == expected
    assert tasks[["due_s", "lag_ms"]].isna().all(axis=None)


def test_a_replay_shows_how_late_each_task_was_published() -> None:
    replayed_ns = int((STARTED_S - 1.25) * NS)
    tasks = _result(*EVENTS, count=3, workers=2, replayed_ns=replayed_ns).frame("tasks")

    assert list(tasks["due_s"]) == [-1.25] * 3
    assert list(tasks["lag_ms"]) == [250, 750, 2250]


def test_a_task_that_nobody_took_is_still_a_row() -> None:
    tasks = _result(
        (100.0, "published", 0),
        (100.0, "published", 1),
        (101.0, "delivered", 0, "worker-1"),
        (102.0, "acked", 0, "worker-1"),
        count=2,
    ).frame("tasks")

    assert list(tasks["message"]) == [0, 1]
    for column in ("outcome", "worker", "delivered_s"):
        assert list(tasks[column].isna()) == [False, True]
    assert list(tasks["deliveries"]) == [1, 0]


def test_a_run_is_one_row_of_counts_beside_the_ideal_with_where_it_was_measured(result: Result) -> None:
    (row,) = result.frame().to_dict("records")

    expected = {
        "workers": 2,
        "prefetch": 1,
        "published": 3,
        "received": 4,
        "acked": 2,
        "rejected": 1,
        "redelivered": 1,
        "makespan_s": 4,
        "ideal_s": 1.5,
        "rate_msg_s": 0.5,
        "efficiency": 0.375,
        "overhead_ms": pytest.approx((4.0 - 1.5) * 2 / 3 * 1000),
        "rabbitmq": "4.0.5",
    }
    assert {name: row[name] for name in expected} == expected


def test_depth_follows_the_queue(result: Result) -> None:
    depth = result.frame("depth")

    assert list(depth.columns) == ["run", "workers", "time_s", "ready", "unacked"]
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
            (100.5, "acked", message, "worker-2"),
        ]
    depth = _result(*events, count=100).frame("depth")

    assert depth[["ready", "unacked"]].to_numpy().min() == 0
    assert list(depth[["ready", "unacked"]].iloc[-1]) == [0, 0]


def test_runs_stand_side_by_side_also_when_they_were_made_one_after_the_other() -> None:
    first, second = _run(*EVENTS, count=3, workers=2), _run(*EVENTS, count=3, workers=4)
    together = result_of({"a": first, "b": second}, "case", {})
    both = result_of({"a": first}, "case", {}) | result_of({"b": second}, "case", {})

    for result in (together, both):
        assert list(result.rows["case"]) == ["a", "b"]
        for name in ("tasks", "depth", "deliveries", "workers"):
            frame = result.frame(name)
            assert list(frame.index) == list(range(len(frame)))
            assert list(frame["case"].unique()) == ["a", "b"]
        assert list(result.ledgers) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "depth", "gantt", "sharing", "outcomes", "poison"])
@pytest.mark.parametrize("by", ["workers", "case"])
def test_one_run_can_be_drawn_too(name: str, by: str) -> None:
    assert result_of({1: _run(*EVENTS, count=3)}, by, {}).plot(name).axes


def test_there_is_a_task_and_a_worker_at_least() -> None:
    with pytest.raises(ValueError, match="no tasks"):
        WorkloadConfig(workload=load_workload().head(0))
    with pytest.raises(ValueError, match="goes from 1"):
        WorkloadConfig(workload=load_workload(), workers=0)
