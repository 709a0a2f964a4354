"""Figures: what a reader needs on them, and what must not stay behind."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import plots

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


@pytest.fixture(params=["speedup", "depth"])
def figure(request: pytest.FixtureRequest) -> Figure:
    return plots.plot_speedup(SUMMARY) if request.param == "speedup" else plots.plot_depth(DEPTH)


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
    plots.plot_speedup(SUMMARY)

    assert dict(mpl.rcParams) == before


def test_a_figure_can_be_drawn(figure: Figure, tmp_path) -> None:
    path = tmp_path / "figure.png"
    figure.savefig(path)

    assert path.stat().st_size > 1000


def test_no_figure_stays_open_when_drawing_fails() -> None:
    with pytest.raises(KeyError):
        plots.plot_depth(DEPTH.drop(columns="time_s"))

    assert plt.get_fignums() == []


def test_speedup_is_drawn_against_the_ideal_in_the_order_of_workers() -> None:
    left, right = plots.plot_speedup(SUMMARY).axes

    ideal, measured = left.get_lines()
    assert list(measured.get_xdata()) == [1, 2, 4]
    assert list(measured.get_ydata()) == [8.2, 4.3, 2.5]
    assert list(ideal.get_ydata()) == [8.0, 4.0, 2.0]
    assert list(right.get_lines()[1].get_ydata()) == [117.0, 223.0, 384.0]
    assert left.get_title(loc="left") == "4 times the workers: 3.3 times as fast"


def test_lines_of_depth_differ_by_marker_as_well_as_by_color() -> None:
    (axes,) = plots.plot_depth(DEPTH).axes
    markers = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]

    assert len({line.get_marker() for line in markers}) == 2
    assert len({line.get_color() for line in markers}) == 2


def test_depth_states_the_peaks() -> None:
    (axes,) = plots.plot_depth(DEPTH).axes

    assert "7 tasks" in axes.get_title(loc="left")
    assert "to 2" in axes.get_title(loc="left")


@pytest.mark.parametrize("rows", [1, 2])
def test_one_or_two_runs_can_be_drawn_too(rows: int) -> None:
    assert isinstance(plots.plot_speedup(SUMMARY.head(rows)), Figure)
    assert isinstance(plots.plot_depth(DEPTH.head(3 * rows)), Figure)
