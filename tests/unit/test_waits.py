"""How long tasks of two priorities wait, as frames and as figures."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import experiments
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


def test_neighbors_are_of_the_same_design() -> None:
    waits = waits_by_priority({"one": ONE, "two": _run(("high", 0, 0.02), ("normal", 0, 0.03))}, _is_high)

    assert waits.loc[waits["design"] == "two", "matched_normal_ms"].isna().all()


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


WAITS = pd.DataFrame(
    {
        "design": ["one queue"] * 4 + ["own queue"] * 4,
        "priority": ["normal", "high"] * 4,
        "published_s": [0.0, 0.1, 0.2, 0.3] * 2,
        "wait_ms": [100.0, 100.0, 120.0, 120.0, 2000.0, 0.1, 1000.0, 30.0],
        "matched_normal_ms": [None, 100.0, None, 120.0, None, 2000.0, None, 1000.0],
    }
)


@pytest.fixture(params=["day", "design"])
def figure(request: pytest.FixtureRequest) -> Figure:
    if request.param == "day":
        return experiments.plot_waits_over_day(WAITS[WAITS["design"] == "one queue"])
    return experiments.plot_waits_by_design(WAITS)


def test_a_figure_of_waits_has_units_and_states_a_finding(figure: Figure, tmp_path) -> None:
    figure.savefig(tmp_path / "figure.png")

    words = [axes.get_ylabel() + axes.get_xlabel() for axes in figure.axes] + [figure.get_supxlabel()]
    assert any("(ms)" in each for each in words)
    assert all("ms" in axes.get_title(loc="left") for axes in figure.axes)
    assert plt.get_fignums() == []


def test_each_design_has_its_two_distributions_and_the_lines_are_named_once() -> None:
    figure = experiments.plot_waits_by_design(WAITS)

    one, own = figure.axes
    assert one.get_title(loc="left") == "one queue:\n110 against 110 ms"
    assert own.get_title(loc="left") == "own queue:\n15 against 1,500 ms"
    for axes in (one, own):
        beside, high = axes.get_lines()
        assert beside.get_marker() != high.get_marker()
        assert list(high.get_ydata()) == [0.5, 1.0]
    assert [len(axes.texts) for axes in (one, own)] == [0, 2]
    assert own.get_xlim() == one.get_xlim()


def test_waits_too_short_for_the_scale_are_drawn_at_its_edge() -> None:
    own = experiments.plot_waits_by_design(WAITS).axes[1]

    assert own.get_lines()[1].get_xdata()[0] == own.get_xlim()[0] == 1
