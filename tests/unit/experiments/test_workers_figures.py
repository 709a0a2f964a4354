"""Figures of runs of a workload: what a reader needs on them, and what they say."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from helpers import assert_figure_is_complete
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from rmqlab.experiments.acknowledgement_figures import plot_ack_batches, plot_outcomes, plot_poison
from rmqlab.experiments.workers_figures import plot_depth, plot_gantt, plot_speedup

ROWS = pd.DataFrame(
    {
        "workers": [4, 1, 2],
        "makespan_s": [2.5, 8.2, 4.3],
        "ideal_s": [2.0, 8.0, 4.0],
        "efficiency": [0.8, 0.976, 0.93],
    }
)
DEPTH = pd.DataFrame(
    {
        "workers": [1, 1, 1, 4, 4, 4],
        "time_s": [0.0, 0.5, 1.0, 0.0, 0.5, 1.0],
        "ready": [1, 7, 0, 1, 2, 0],
    }
)
DELIVERIES = pd.DataFrame(
    {
        "prefetch": [1, 1, 1, 1, 0, 0, 0],
        "consumer": ["w-2", "w-10", "w-2", "w-2", "w-2", "w-2", "w-2"],
        "delivered_s": [0.5, 0.5, 1.0, 1.5, 0.25, 0.25, 0.25],
        "begun_s": [0.5, 0.5, 1.0, 1.5, 0.25, 1.25, 2.25],
        "settled_s": [1.0, 1.5, 1.5, None, 1.25, 2.25, 3.25],
        "redelivered": [False] * 7,
        "outcome": ["acked", "acked", "acked", None, "acked", "acked", "acked"],
    }
)


def _tasks(**runs: tuple[list[str | None], list[int]]) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"run": name, "outcome": outcomes, "deliveries": deliveries})
        for name, (outcomes, deliveries) in runs.items()
    ]
    tasks = pd.concat(frames)
    return tasks.assign(message=tasks.index, settled_s=0.1 * (tasks.index + 1))


CRASHED = _tasks(auto=(["acked", None, None], [1, 1, 0]), each=(["acked"] * 3, [1, 2, 1]))
POISONED = _tasks(
    requeue=(["acked", "requeued", None], [1, 5000, 0]),
    reject=(["acked", "rejected", "acked"], [1, 1, 1]),
)
BATCHES = pd.DataFrame(
    {
        "n": [1, 10, 100],
        "acked_msg_s": [10_000.0, 20_000.0, 21_000.0],
        "acked_msg_s_low": [9_000.0, 19_000.0, 20_000.0],
        "acked_msg_s_high": [11_000.0, 21_000.0, 22_000.0],
        "repeated": [0.0, 9.0, 99.0],
    }
)
# Each with the titles of its axes.
FIGURES = {
    "speedup": (
        lambda: plot_speedup(ROWS),
        ["4 times the workers: 3.3 times as fast", "80% of the ideal at the end"],
    ),
    "depth": (lambda: plot_depth(DEPTH), ["Up to 7 tasks wait for 1 worker, up to 2 for 4 workers"]),
    "gantt": (lambda: plot_gantt(DELIVERIES.query("prefetch == 1")), ["Done after 1.0 s"]),
    "gantt of names": (
        lambda: plot_gantt(
            DELIVERIES.assign(case=DELIVERIES["prefetch"].map({1: "fair", 0: "not"})), by="case"
        ),
        ["fair: done after 1.0 s", "not: done after 3.0 s"],
    ),
    "gantt of nothing": (
        lambda: plot_gantt(DELIVERIES.assign(settled_s=float("nan"), outcome=None)),
        ["Nothing done"],
    ),
    "outcomes": (
        lambda: plot_outcomes(CRASHED, by="run"),
        ["One worker crashes: auto loses 2, each none"],
    ),
    "poison": (
        lambda: plot_poison(POISONED, by="run"),
        ["requeue: 1 of 2 good tasks", "5,000 failures instead of 1"],
    ),
    "batches": (
        lambda: plot_ack_batches(BATCHES),
        ["The gain: up to 2.1 times the rate", "The price: up to 99 are done twice"],
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_labelled_states_its_finding_and_does_not_stay_open(name: str) -> None:
    draw, titles = FIGURES[name]
    settings = dict(mpl.rcParams)

    assert_figure_is_complete(draw(), *titles)
    assert dict(mpl.rcParams) == settings


def test_no_figure_stays_open_when_drawing_fails() -> None:
    with pytest.raises(KeyError):
        plot_depth(DEPTH.drop(columns="time_s"))

    assert plt.get_fignums() == []


def test_lines_of_depth_differ_by_marker_as_well_as_by_color() -> None:
    (axes,) = plot_depth(DEPTH).axes
    markers = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]

    assert len({line.get_marker() for line in markers}) == 2
    assert len({line.get_color() for line in markers}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 worker: 7", "4 workers: 2"]


def _bars(axes: Axes) -> list[tuple[float, float, float]]:
    """Return start, end and lane of each bar, in the order of starts and lanes."""
    boxes = [path.get_extents() for path in axes.collections[0].get_paths()]
    return sorted((box.x0, box.x1, (box.y0 + box.y1) / 2) for box in boxes)


def _colors(axes: Axes) -> list[str]:
    return [to_hex(color).upper() for color in axes.collections[0].get_facecolor()]


def test_cases_of_a_gantt_chart_share_their_time_and_their_lanes() -> None:
    upper, lower = plot_gantt(DELIVERIES, by="prefetch").axes

    assert upper.get_title(loc="left") == "prefetch 1: done after 1.0 s"
    assert lower.get_title(loc="left") == "no limit: done after 3.0 s"
    assert upper.get_xlim() == lower.get_xlim() == (0, 3)
    assert _bars(upper) == [(0, 0.5, 0), (0, 1, 1), (0.5, 1, 0)]  # what was never settled has no bar
    assert _bars(lower) == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
    assert [text.get_text() for text in upper.get_yticklabels()] == ["w-2", "w-10"]
    assert upper.get_ylim() == lower.get_ylim() == (1.5, -0.5)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "time from the first delivery (s)")


def test_deliveries_that_came_back_have_colors_of_their_own() -> None:
    came_back = DELIVERIES.query("prefetch == 0").assign(
        redelivered=[False, False, True], outcome=["acked", "requeued", "acked"]
    )
    (axes,) = plot_gantt(came_back).axes

    assert len(set(_colors(axes))) == 3
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["redelivered", "requeued"]
    assert [to_hex(patch.get_facecolor()).upper() for patch in legend.get_patches()] == [
        *reversed(_colors(axes)[1:])
    ]


def test_nothing_on_a_gantt_chart_is_cut_off_or_overlaps() -> None:
    figure = plot_gantt(DELIVERIES.assign(redelivered=True, outcome="requeued"), by="prefetch")
    figure.draw_without_rendering()

    texts = [axes._left_title for axes in figure.axes] + [figure.axes[0].get_legend()]
    texts += [label for axes in figure.axes for label in axes.get_yticklabels()]
    texts += [figure.axes[1].xaxis.label, figure._supylabel]
    boxes = [text.get_window_extent() for text in texts]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_outcomes_count_what_was_lost_and_what_was_delivered_again() -> None:
    (axes,) = plot_outcomes(CRASHED, by="run").axes

    assert [text.get_text() for text in axes.texts] == [
        *("done: 1", "delivered again: 0", "lost: 2"),
        *("done: 3", "delivered again: 1", "lost: 0"),
    ]
