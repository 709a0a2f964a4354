"""How long tasks of two priorities wait."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers import assert_figure_is_complete

from rmqlab.engine import Task
from rmqlab.experiments import Result, Workload, compare_waits
from rmqlab.experiments.workload import Job

# Tasks by priority, publishing and settling in seconds; each is 10 ms of work.
TASKS = [
    ("high", 0, 0.015),
    ("normal", 0, 0.11),
    ("normal", 0, 0.21),
    ("high", 0.1, 0.26),
    ("high", 0.1, 0.31),
]


def _compare(*tasks: tuple[str, float, float], designs: tuple[str, ...] = ("one",)) -> Result:
    frame = pd.DataFrame(tasks, columns=["priority", "published_s", "settled_s"])
    frame = frame.drop(columns="priority").assign(message=frame.index, duration_s=0.01)
    details = {"tasks": pd.concat([frame.assign(design=design) for design in designs], ignore_index=True)}
    workload = Workload(tuple(Job(Task("e", priority), 0, 0.01) for priority, _, _ in tasks), 1.0)
    runs = Result(pd.DataFrame({"design": designs}), lambda _: None, {}, details)
    return compare_waits(runs, workload, lambda task: task.action == "high")


def test_a_wait_goes_from_publishing_to_the_beginning_of_the_work() -> None:
    waits = _compare(*TASKS).frame("waits")

    assert list(waits["until_work_ms"].round(6)) == [5, 100, 200, 150, 200]
    assert list(waits["priority"]) == ["high", "normal", "normal", "high", "high"]


def test_what_was_published_before_the_workers_began_waits_from_then() -> None:
    waits = _compare(("high", -5, 0.11)).frame("waits")

    assert waits["until_work_ms"].item() == pytest.approx(100)


def test_a_task_of_high_priority_is_matched_with_the_normal_one_published_last_before_it() -> None:
    matched = _compare(*TASKS, designs=("one", "two")).frame("waits")["matched_normal_ms"]

    assert list(matched.isna()) == [True, True, True, False, False] * 2
    assert list(matched.dropna().round(6)) == [200] * 4


def test_designs_are_compared_in_their_order() -> None:
    rows = _compare(*TASKS, designs=("two", "one")).rows

    assert list(rows["design"]) == ["two", "one"]
    assert rows.iloc[0].drop("design").astype(float).round(6).to_dict() == {
        "high_ms": 150,
        "matched_normal_ms": 200,
        "normal_ms": 150,
        "normal_p95_ms": 195,
        "makespan_s": 0.31,
    }


def test_each_design_has_a_row_with_its_two_medians() -> None:
    figure = _compare(*TASKS, designs=("two", "one")).plot()

    assert_figure_is_complete(figure, "High-priority tasks (◆) wait least in the two; ● are their neighbors")
    (axes,) = figure.axes
    assert [each.get_text() for each in axes.get_yticklabels()] == ["two", "one"]
    assert [each.get_text() for each in axes.texts] == ["150 ms", "200 ms"] * 2


@pytest.mark.parametrize(
    ("settled_s", "verdict"), [(0.31, "as long as"), (0.12, "less than"), (0.95, "longer than")]
)
def test_the_waits_over_a_day_are_drawn_and_their_title_says_what_they_show(settled_s, verdict) -> None:
    figure = _compare(("normal", 0, 0.31), ("high", 0, settled_s)).plot("day")

    assert_figure_is_complete(figure, f"High-priority tasks wait {verdict} normal ones of the same moment")
