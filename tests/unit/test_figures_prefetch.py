"""Figures of what a prefetch does."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import experiments

mpl.use("agg")

SHARING = pd.DataFrame(
    {
        "prefetch": [1000, 1, 10],
        "jain_busy": [0.125, 0.99, 0.9],
        "idle_share": [0.88, 0.1, 0.2],
        "makespan_s": [8.1, 1.2, 1.4],
        "ideal_s": [1.0, 1.0, 1.0],
    }
)
RATES = pd.DataFrame(
    {
        "delay_ms": [0.0, 0.0, 0.0, 2.5, 2.5, 2.5],
        "prefetch": [1, 10, 1000, 10, 1, 1000],
        "rate_msg_s": [500.0, 900.0, 1000.0, 800.0, 100.0, 900.0],
    }
)
DRAW = {
    "sharing": lambda: experiments.plot_sharing(SHARING),
    "rates": lambda: experiments.plot_rates(RATES),
    "both": lambda: experiments.plot_fairness_and_rate(SHARING, RATES, rule={0: 2, 2.5: 8}),
}


@pytest.fixture(params=DRAW)
def figure(request: pytest.FixtureRequest) -> Figure:
    return DRAW[request.param]()


def test_axes_are_labelled_against_the_prefetch(figure: Figure) -> None:
    for axes in figure.axes:
        assert axes.get_xlabel() == "prefetch"
        assert axes.get_ylabel()
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "1000"]


def test_lines_differ_by_marker_and_go_up_with_the_prefetch(figure: Figure) -> None:
    for axes in figure.axes:
        lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]
        assert len({line.get_marker() for line in lines}) == len(lines) > 0
        assert all(list(line.get_xdata()) == [1, 10, 1000] for line in lines)


def test_a_figure_can_be_drawn_and_does_not_stay_open(figure: Figure, tmp_path) -> None:
    path = tmp_path / "figure.png"
    figure.savefig(path)

    assert path.stat().st_size > 1000
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("which", "finding"),
    [
        ("sharing", "From prefetch 1 to 1000, fairness falls from 0.99 to 0.12"),
        ("rates", "More prefetch makes the distant consumer 9 times as fast, the near one 2.0 times"),
        ("both", "Prefetch 10 gives 89% of the throughput, and a fairness of 0.90"),
    ],
)
def test_the_title_states_the_finding(which: str, finding: str) -> None:
    assert DRAW[which]().axes[0].get_title(loc="left") == finding


def test_what_the_rule_gives_is_drawn_and_written() -> None:
    (axes,) = experiments.plot_fairness_and_rate(SHARING, RATES, rule={0: 2, 2.5: 8}).axes

    assert {"rule: 2", "rule: 8"} <= {text.get_text() for text in axes.texts}
    assert [2, 2] in [list(line.get_xdata()) for line in axes.get_lines()]


def test_one_run_can_be_drawn_too() -> None:
    assert isinstance(experiments.plot_sharing(SHARING.head(1)), Figure)
    assert isinstance(experiments.plot_rates(RATES.head(1)), Figure)
    assert isinstance(experiments.plot_fairness_and_rate(SHARING.head(1), RATES.head(1), rule={0: 2}), Figure)
