"""Figures of outages, and of how soon clients are back."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import experiments

mpl.use("agg")

THROUGHPUT = pd.DataFrame(
    [
        {"time_s": 0.25 * place, "event": event, "rate_msg_s": rate}
        for event in ("published", "confirmed", "received", "acked")
        for place, rate in enumerate([100, 100, 0, 0, 0, 2000, 100, 100])
    ]
)
OUTAGES = pd.DataFrame(
    {"fault": ["closed", "restart"], "down_s": [0.2, 0.5], "up_s": [0.2, 1.25], "silent_s": [0.1, 0.9]}
)
EVENTS = pd.DataFrame(
    {
        "time_s": [0.2, 0.21, 0.5, 1.3],
        "client": ["worker-1"] * 4,
        "event": ["lost", "recovered", "lost", "recovered"],
    }
)
RECOVERIES = pd.DataFrame(
    {
        "fault": ["closed"] * 4 + ["restart"] * 3,
        "recover_s": [0.02, 0.03, 0.04, 0.05, 0.0, 0.5, float("nan")],
    }
)
DRAW = {
    "outages": lambda: experiments.plot_outages(THROUGHPUT, OUTAGES, EVENTS),
    "recoveries": lambda: experiments.plot_recoveries(RECOVERIES),
}


@pytest.fixture(params=DRAW)
def figure(request: pytest.FixtureRequest) -> Figure:
    return DRAW[request.param]()


def test_a_figure_can_be_drawn_and_does_not_stay_open(figure: Figure, tmp_path) -> None:
    path = tmp_path / "figure.png"
    figure.savefig(path)

    assert path.stat().st_size > 1000
    assert plt.get_fignums() == []


def test_the_lowest_axes_name_time_and_its_unit(figure: Figure) -> None:
    assert figure.axes[-1].get_xlabel().endswith("(s)")


def test_outages_are_shaded_and_named_and_what_does_not_last_is_a_line() -> None:
    rates, events = experiments.plot_outages(THROUGHPUT, OUTAGES, EVENTS).axes

    assert rates.get_title(loc="left") == "2 faults; the longest silence is 0.9 s (restart)"
    assert [text.get_text() for text in rates.texts] == ["closed", "restart"]
    assert len(rates.patches) == len(events.patches) == 1
    assert [line.get_label() for line in rates.get_lines()][:3] == ["published", "confirmed", "received"]
    assert [tick.get_text() for tick in events.get_yticklabels()] == ["lost", "recovered"]


def test_a_peak_after_an_outage_does_not_press_the_rest_flat() -> None:
    rates, _ = experiments.plot_outages(THROUGHPUT, OUTAGES, EVENTS).axes

    assert 100 < rates.get_ylim()[1] < 1000


def test_recoveries_are_a_distribution_for_each_fault() -> None:
    (axes,) = experiments.plot_recoveries(RECOVERIES).axes

    assert axes.get_title(loc="left") == "Half are back after 35 ms (closed), 255 ms (restart)"
    assert [text.get_text() for text in axes.texts] == ["closed\n(4 times)", "restart\n(2 times)"]
