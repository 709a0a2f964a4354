"""Figures: what a reader needs on them, what they say, and what must not stay behind."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import pytest
from helpers import assert_figure_is_complete

from rmqlab import experiments
from rmqlab.experiments.confirms_figures import plot_confirm_cost
from rmqlab.experiments.durability_figures import plot_durability
from rmqlab.experiments.prefetch_figures import plot_rates, plot_sharing
from rmqlab.experiments.recovery_figures import plot_outages, plot_recoveries

mpl.use("agg")  # no window, whatever the machine has

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
        "number": [0, 0, 1, 1, 2, 2, 2],
        "recover_s": [0.02, 0.03, 0.04, 0.05, 0.0, 0.5, float("nan")],
    }
)
FAULTS = experiments.Result(
    RECOVERIES, plot_recoveries, {}, {"throughput": THROUGHPUT, "outages": OUTAGES, "events": EVENTS}
)
SHARING = pd.DataFrame(
    {
        "prefetch": [1000, 1, 10],
        "workers": [8, 8, 8],
        "published": [160, 160, 160],
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

NAN = float("nan")
FATES = {
    ("classic", "transient", "none"): (100, 0),
    ("classic", "persistent", "none"): (100, 97),
    ("classic", "transient", "confirmed"): (90, 0),
    ("classic", "persistent", "confirmed"): (1200, 1200),
    ("old", "transient", "none"): (0, 0),
    ("old", "persistent", "none"): (0, 0),
    ("old", "transient", "confirmed"): (0, 0),
    ("old", "persistent", "confirmed"): (0, 0),
}
SURVIVAL = pd.DataFrame(
    [
        {
            **dict(zip(("queue", "message", "confirms"), key, strict=True)),
            "presumed_safe": presumed_safe,
            "survived": survived,
            "lost": presumed_safe - survived,
        }
        for key, (presumed_safe, survived) in FATES.items()
    ]
)
COSTS = pd.DataFrame(
    {
        "strategy": ["none", "each", "window 500"] * 2,
        "rate_msg_s": [30_000.0, 1_000.0, 20_000.0, 34_000.0, 1_200.0, 22_000.0],
        "confirm_median_ms": [NAN, 0.5, 16.0] * 2,
        "confirm_p99_ms": [NAN, 2.0, 40.0] * 2,
    }
)
# Each with the titles of its axes.
FIGURES = {
    "outages": (
        lambda: plot_outages(FAULTS),
        ["2 faults; the longest silence is 0.9 s (restart)", ""],
    ),
    "recoveries": (
        lambda: plot_recoveries(RECOVERIES),
        ["Half are back after 35 ms (closed), 255 ms (restart)"],
    ),
    "rates": (
        lambda: plot_rates(RATES),
        ["More prefetch makes the distant consumer 9 times as fast, the near one 2.0 times"],
    ),
    "sharing": (
        lambda: plot_sharing(SHARING),
        ["From prefetch 1 to 1000, fairness goes from 0.99 to 0.12", ""],
    ),
    "survival": (
        lambda: plot_durability(SURVIVAL),
        ["1 of 8 combinations lose nothing, and all of these are confirmed"],
    ),
    "survival of all": (
        lambda: plot_durability(SURVIVAL.assign(presumed_safe=9, survived=9, lost=0)),
        ["8 of 8 combinations lose nothing"],
    ),
    "cost": (
        lambda: plot_confirm_cost(COSTS),
        ["window 500 is 19 times as fast as each", "A confirm takes 0.5 to 16 ms"],
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_labelled_states_its_finding_and_does_not_stay_open(name: str) -> None:
    draw, titles = FIGURES[name]
    settings = dict(mpl.rcParams)

    assert_figure_is_complete(draw(), *titles)
    assert dict(mpl.rcParams) == settings


def test_outages_are_shaded_and_named_and_what_does_not_last_is_a_line() -> None:
    rates, events = plot_outages(FAULTS).axes

    assert [text.get_text() for text in rates.texts] == ["▲ 2,000", "closed", "restart"]
    assert len(rates.patches) == len(events.patches) == 1
    assert [line.get_label() for line in rates.get_lines()][:3] == ["published", "confirmed", "received"]
    assert [tick.get_text() for tick in events.get_yticklabels()] == ["lost", "recovered"]
    assert 100 < rates.get_ylim()[1] < 1000  # the peak after the outage does not press the rest flat


def test_a_line_marks_the_prefetch_that_deals_out_all_tasks() -> None:
    left, right = plot_sharing(SHARING).axes

    assert "8 x 20 = all" in {text.get_text() for text in left.texts}
    for axes in (left, right):
        assert [20, 20] in [list(line.get_xdata()) for line in axes.get_lines()]


def test_each_cell_says_what_survived() -> None:
    (axes,) = plot_durability(SURVIVAL).axes
    texts = [text.get_text() for text in axes.texts]

    assert texts[:4] == [
        "0 of 100\n100 lost",
        "97 of 100\n3 lost",
        "0 of 90\n90 lost",
        "1,200 of 1,200\nnothing lost",
    ]
    assert texts[4:] == ["refused"] * 4


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot_sharing(SHARING.head(1)),
        lambda: plot_rates(RATES.head(1)),
    ],
)
def test_one_run_can_be_drawn_too(draw) -> None:
    assert draw().axes
