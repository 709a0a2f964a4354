"""How long tasks of two priorities wait, as frames and as figures."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib as mpl
import pandas as pd
import pytest

from rmqlab.engine import Task
from rmqlab.experiments import Job, Workload, compare_waits, waits_by_priority

mpl.use("agg")


def _is_high(task: Task) -> bool:
    return task.action == "high"


def _run(*tasks: tuple[str, float, float]) -> SimpleNamespace:
    """A run of tasks by priority, publishing and settling in seconds; each is 10 ms of work."""
    jobs = tuple(Job(Task("e", priority), published_s, 0.01) for priority, published_s, _ in tasks)
    frame = pd.DataFrame(
        {
            "message": range(len(tasks)),
            "worker": "worker-1",
            "published_s": [published_s for _, published_s, _ in tasks],
            "settled_s": [settled_s for _, _, settled_s in tasks],
        }
    )
    return SimpleNamespace(workload=Workload(jobs, 1.0), tasks=lambda: frame)


ONE = _run(
    ("high", 0, 0.015), ("normal", 0, 0.11), ("normal", 0, 0.21), ("high", 0.1, 0.26), ("high", 0.1, 0.31)
)


def test_a_wait_goes_from_publishing_to_the_beginning_of_the_work() -> None:
    waits = waits_by_priority({"one": ONE}, _is_high)

    assert list(waits["wait_ms"].round(6)) == [5, 100, 200, 150, 200]
    assert list(waits["priority"]) == ["high", "normal", "normal", "high", "high"]
    assert set(waits["design"]) == {"one"}


def test_what_was_published_before_the_workers_began_waits_from_then() -> None:
    waits = waits_by_priority({"one": _run(("high", -5, 0.11))}, _is_high)

    assert waits["wait_ms"].item() == pytest.approx(100)


def test_a_task_of_high_priority_stands_beside_the_normal_one_published_last_before_it() -> None:
    beside = waits_by_priority({"one": ONE}, _is_high)["matched_normal_ms"]

    assert list(beside.isna()) == [True, True, True, False, False]
    assert list(beside.iloc[3:].round(6)) == [200, 200]


def test_designs_are_compared_in_their_order() -> None:
    waits = waits_by_priority({"two": ONE, "one": ONE}, _is_high)

    compared = compare_waits(waits)
    assert list(compared["design"]) == ["two", "one"]
    row = compared.iloc[0].drop("design").astype(float).round(6).to_dict()
    assert row == {
        "high_ms": 150,
        "matched_normal_ms": 200,
        "normal_ms": 150,
        "normal_p95_ms": 195,
        "makespan_s": 0.31,
    }
