"""Figures: what a reader needs on them, and what must not stay behind."""

from __future__ import annotations

import itertools
import time

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
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

    assert "7 tasks" in axes.get_title(loc="left")
    assert "to 2" in axes.get_title(loc="left")


def _assert_labels_are_free(figure: Figure) -> None:
    """No label lies on a line or on another label, or leaves the figure."""
    for axes in figure.axes:
        texts = [text for text in [*axes.texts, axes._left_title] if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        for box in boxes:
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
            for line in axes.get_lines():
                x, y = axes.transData.transform(line.get_xydata()).T
                between = np.linspace(0, len(x) - 1, 20_000)
                x, y = (np.interp(between, range(len(x)), each) for each in (x, y))
                white = box.padded(4, 1)  # what is around a label covers, too
                within = (white.x0 <= x) & (x <= white.x1) & (white.y0 <= y) & (y <= white.y1)
                assert not within.any()
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize(
    "peaks",
    [
        {4: 295, 5: 165, 6: 57},
        {4: 546, 5: 321, 6: 351},  # as on a machine that had other things to do
        {4: 481, 5: 454, 6: 250},
        {1: 3, 2: 2, 4: 1},
        {4: 300},
    ],
)
def test_labels_of_depth_cover_nothing(peaks: dict[int, int]) -> None:
    humps = []
    for workers, peak in peaks.items():
        up, down = np.linspace(0.4, 2.45, 200), np.linspace(2.45, 2.5 + peak / 200, 200)[1:]
        ready = np.concatenate([np.linspace(0, peak, 200), np.linspace(peak, 0, 200)[1:]]).round()
        hump = {"workers": workers, "time_s": np.concatenate([up, down]), "ready": ready}
        humps.append(pd.DataFrame(hump))
    figure = experiments.plot_depth(pd.concat(humps))

    (axes,) = figure.axes
    said = {text.get_text() for text in axes.texts}
    assert said == {f"{count} worker{'s' * (count > 1)}: {peak}" for count, peak in peaks.items()}
    _assert_labels_are_free(figure)


@pytest.mark.parametrize("makespan_s", [[4.7, 2.3, 1.2, 0.6], [6.7, 4.3, 3.2, 3.7]])
def test_both_lines_of_a_speedup_are_named_in_both_panels(makespan_s: list[float]) -> None:
    runs = pd.DataFrame({"workers": [1, 2, 4, 8], "makespan_s": makespan_s, "acked": 960})
    figure = experiments.plot_speedup(
        runs.assign(ideal_s=4 / runs["workers"], rate_msg_s=runs["acked"] / runs["makespan_s"])
    )

    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts} == {"ideal", "measured"}
    _assert_labels_are_free(figure)


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
