"""Figures: what a reader needs on them, and what must not stay behind."""

from __future__ import annotations

import itertools
import time

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from rmqlab import experiments

mpl.use("agg")  # no window, whatever the machine has

SUMMARY = pd.DataFrame(
    {
        "workers": [4, 1, 2],
        "makespan_s": [2.5, 8.2, 4.3],
        "ideal_s": [2.0, 8.0, 4.0],
        "rate_msg_s": [384.0, 117.0, 223.0],
        "acked": [960, 960, 960],
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
FIGURES = {
    "speedup": lambda: experiments.plot_speedup(SUMMARY),
    "depth": lambda: experiments.plot_depth(DEPTH),
    "gantt": lambda: experiments.plot_gantt(DELIVERIES.query("prefetch == 1")),
}


@pytest.fixture(params=FIGURES)
def figure(request: pytest.FixtureRequest) -> Figure:
    return FIGURES[request.param]()


def test_axes_are_labelled_with_their_units(figure: Figure) -> None:
    assert figure.axes
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    times = [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())]
    assert any("(s)" in label for label in times)


def test_the_first_title_states_a_finding(figure: Figure) -> None:
    assert any(character.isdigit() for character in figure.axes[0].get_title(loc="left"))


def test_no_figure_stays_open_in_pyplot(figure: Figure) -> None:
    assert figure.axes
    assert plt.get_fignums() == []


def test_drawing_leaves_the_readers_settings_alone() -> None:
    before = dict(mpl.rcParams)
    experiments.plot_speedup(SUMMARY)

    assert dict(mpl.rcParams) == before


def test_a_figure_can_be_drawn(figure: Figure, tmp_path) -> None:
    path = tmp_path / "figure.png"
    figure.savefig(path)

    assert path.stat().st_size > 1000


def test_no_figure_stays_open_when_drawing_fails() -> None:
    with pytest.raises(KeyError):
        experiments.plot_depth(DEPTH.drop(columns="time_s"))

    assert plt.get_fignums() == []


def test_speedup_is_drawn_against_the_ideal_in_the_order_of_workers() -> None:
    left, right = experiments.plot_speedup(SUMMARY).axes

    ideal, measured = left.get_lines()
    assert list(measured.get_xdata()) == [1, 2, 4]
    assert list(measured.get_ydata()) == [8.2, 4.3, 2.5]
    assert list(ideal.get_ydata()) == [8.0, 4.0, 2.0]
    assert list(right.get_lines()[1].get_ydata()) == [117.0, 223.0, 384.0]
    assert left.get_title(loc="left") == "4 times the workers: 3.3 times as fast"


def test_lines_of_depth_differ_by_marker_as_well_as_by_color() -> None:
    (axes,) = experiments.plot_depth(DEPTH).axes
    markers = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]

    assert len({line.get_marker() for line in markers}) == 2
    assert len({line.get_color() for line in markers}) == 2


def test_depth_states_the_peaks() -> None:
    (axes,) = experiments.plot_depth(DEPTH).axes

    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 worker: 7", "4 workers: 2"]
    assert "7 tasks" in axes.get_title(loc="left")
    assert "to 2" in axes.get_title(loc="left")


@pytest.mark.parametrize("rows", [1, 2])
def test_one_or_two_runs_can_be_drawn_too(rows: int) -> None:
    assert isinstance(experiments.plot_speedup(SUMMARY.head(rows)), Figure)
    assert isinstance(experiments.plot_depth(DEPTH.head(3 * rows)), Figure)


def _bars(axes: Axes) -> list[tuple[float, float, float]]:
    """Give start, end and lane of each bar, in the order of starts and lanes."""
    boxes = [path.get_extents() for path in axes.collections[0].get_paths()]
    return sorted((box.x0, box.x1, (box.y0 + box.y1) / 2) for box in boxes)


def _colors(axes: Axes) -> list[str]:
    return [to_hex(color).upper() for color in axes.collections[0].get_facecolor()]


def test_a_gantt_chart_has_a_bar_for_each_delivery_that_was_settled() -> None:
    (axes,) = experiments.plot_gantt(DELIVERIES.query("prefetch == 1")).axes

    assert _bars(axes) == [(0, 0.5, 0), (0, 1, 1), (0.5, 1, 0)]  # from the first delivery on
    assert [text.get_text() for text in axes.get_yticklabels()] == ["w-2", "w-10"]
    assert axes.get_title(loc="left") == "Done after 1.0 s"
    assert axes.get_legend() is None


def test_cases_of_a_gantt_chart_share_their_time_and_their_lanes() -> None:
    upper, lower = experiments.plot_gantt(DELIVERIES, by="prefetch").axes

    assert upper.get_title(loc="left") == "prefetch 1: done after 1.0 s"
    assert lower.get_title(loc="left") == "no limit: done after 3.0 s"
    assert upper.get_xlim() == lower.get_xlim() == (0, 3)
    assert _bars(lower) == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
    assert upper.get_ylim() == lower.get_ylim() == (1.5, -0.5)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "time from the first delivery (s)")


def test_neighbors_on_a_lane_of_a_gantt_chart_differ_in_shade() -> None:
    lower = experiments.plot_gantt(DELIVERIES, by="prefetch").axes[1]

    first, second, third = _colors(lower)
    assert first == third != second


def test_deliveries_that_came_back_have_colors_of_their_own() -> None:
    came_back = DELIVERIES.query("prefetch == 0").assign(
        redelivered=[False, False, True], outcome=["acked", "requeued", "acked"]
    )
    (axes,) = experiments.plot_gantt(came_back).axes

    assert len(set(_colors(axes))) == 3
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["redelivered", "requeued"]
    assert [to_hex(patch.get_facecolor()).upper() for patch in legend.get_patches()] == [
        *reversed(_colors(axes)[1:])
    ]


def test_cases_of_a_gantt_chart_may_have_names() -> None:
    named = DELIVERIES.assign(case=DELIVERIES["prefetch"].map({1: "fair", 0: "greedy"}), workers=2)

    titles = [axes.get_title(loc="left") for axes in experiments.plot_gantt(named, by="case").axes]
    assert titles == ["fair: done after 1.0 s", "greedy: done after 3.0 s"]
    (axes,) = experiments.plot_gantt(named, by="workers").axes
    assert axes.get_title(loc="left") == "workers 2: done after 3.0 s"


def test_a_gantt_chart_of_nothing_settled_says_so() -> None:
    (axes,) = experiments.plot_gantt(DELIVERIES.assign(settled_s=float("nan"), outcome=None)).axes

    assert axes.get_title(loc="left") == "Nothing done"
    with pytest.raises(ValueError, match="no deliveries"):
        experiments.plot_gantt(DELIVERIES.head(0))


def test_nothing_on_a_gantt_chart_is_cut_off_or_overlaps() -> None:
    figure = experiments.plot_gantt(DELIVERIES.assign(redelivered=True, outcome="requeued"), by="prefetch")
    figure.draw_without_rendering()

    texts = [axes._left_title for axes in figure.axes] + [figure.axes[0].get_legend()]
    texts += [label for axes in figure.axes for label in axes.get_yticklabels()]
    texts += [figure.axes[1].xaxis.label, figure._supylabel]
    boxes = [text.get_window_extent() for text in texts]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_thousands_of_bars_are_drawn_within_seconds(tmp_path) -> None:
    count = 20_000
    many = pd.DataFrame(
        {
            "consumer": [f"worker-{number % 32 + 1}" for number in range(count)],
            "delivered_s": [number // 32 * 0.001 for number in range(count)],
            "begun_s": [number // 32 * 0.001 for number in range(count)],
            "settled_s": [number // 32 * 0.001 + 0.001 for number in range(count)],
            "redelivered": False,
            "outcome": "acked",
        }
    )
    started_s = time.process_time()
    experiments.plot_gantt(many).savefig(tmp_path / "many.png")

    assert time.process_time() - started_s < 5
