"""Figures: what a reader needs on them, what they say, and what must not stay behind."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from helpers import assert_figure_is_complete

from rmqlab.experiments import Result
from rmqlab.experiments.acknowledgement import plot_ack_batches
from rmqlab.experiments.confirms import plot_confirm_cost
from rmqlab.experiments.durability import plot_durability
from rmqlab.experiments.prefetch import plot_rates
from rmqlab.experiments.recovery_figures import plot_outages, plot_recoveries
from rmqlab.experiments.workers_figures import (
    plot_depth,
    plot_gantt,
    plot_outcomes,
    plot_poison,
    plot_sharing,
    plot_speedup,
)

mpl.use("agg")  # no window, whatever the machine has

NAN = float("nan")


def _frame(columns: str, *rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


RATES_OVER_TIME = _frame(
    "time_s event rate_msg_s",
    *(
        (0.25 * place, event, rate)
        for event in ("published", "confirmed", "received", "acked")
        for place, rate in enumerate([100, 100, 0, 0, 0, 2000, 100, 100])
    ),
)
OUTAGES = _frame("fault down_s up_s silent_s", ("closed", 0.2, 0.2, 0.1), ("restart", 0.5, 1.25, 0.9))
EVENTS = _frame("time_s event", (0.2, "lost"), (0.21, "recovered"), (0.5, "lost"), (1.3, "recovered"))
RECOVERIES = _frame(
    "fault number recover_s",
    *(("closed", 0, 0.02), ("closed", 0, 0.03), ("closed", 1, 0.04), ("closed", 1, 0.05)),
    *(("restart", 2, 0.0), ("restart", 2, 0.5), ("restart", 2, NAN)),
)
FAULTS = Result(
    RECOVERIES, plot_recoveries, {}, {"throughput": RATES_OVER_TIME, "outages": OUTAGES, "events": EVENTS}
)
SHARING = _frame(
    "prefetch workers published jain_busy idle_share makespan_s ideal_s",
    (1000, 8, 160, 0.125, 0.88, 8.1, 1.0),
    (1, 8, 160, 0.99, 0.1, 1.2, 1.0),
    (10, 8, 160, 0.9, 0.2, 1.4, 1.0),
)
RATES = _frame(
    "delay_ms prefetch rate_msg_s",
    *((0.0, 1, 500.0), (0.0, 10, 900.0), (0.0, 1000, 1000.0)),
    *((2.5, 10, 800.0), (2.5, 1, 100.0), (2.5, 1000, 900.0)),
)
SURVIVAL = _frame(
    "queue message confirms presumed_safe survived lost",
    ("classic", "transient", "none", 100, 0, 100),
    ("classic", "persistent", "none", 100, 97, 3),
    ("classic", "transient", "confirmed", 90, 0, 90),
    ("classic", "persistent", "confirmed", 1200, 1200, 0),
    *(("old", *of, 0, 0, 0) for of in itertools.product(("transient", "persistent"), ("none", "confirmed"))),
)
COSTS = _frame(
    "strategy rate_msg_s confirm_median_ms confirm_p99_ms",
    *(("none", 30_000.0, NAN, NAN), ("each", 1_000.0, 0.5, 2.0), ("window 500", 20_000.0, 16.0, 40.0)),
    *(("none", 34_000.0, NAN, NAN), ("each", 1_200.0, 0.5, 2.0), ("window 500", 22_000.0, 16.0, 40.0)),
)
ROWS = _frame(
    "workers makespan_s ideal_s efficiency", (4, 2.5, 2.0, 0.8), (1, 8.2, 8.0, 0.976), (2, 4.3, 4.0, 0.93)
)
DEPTH = _frame(
    "workers time_s ready", (1, 0.0, 1), (1, 0.5, 7), (1, 1.0, 0), (4, 0.0, 1), (4, 0.5, 2), (4, 1.0, 0)
)
DELIVERIES = _frame(
    "prefetch consumer delivered_s begun_s settled_s",
    *((1, "w-2", 0.5, 0.5, 1.0), (1, "w-10", 0.5, 0.5, 1.5), (1, "w-2", 1.0, 1.0, 1.5)),
    (1, "w-2", 1.5, 1.5, NAN),
    *((0, "w-2", 0.25, 0.25, 1.25), (0, "w-2", 0.25, 1.25, 2.25), (0, "w-2", 0.25, 2.25, 3.25)),
)
TASKS = "run message outcome deliveries settled_s"
CRASHED = _frame(
    TASKS,
    *(("auto", 0, "acked", 1, 0.1), ("auto", 1, None, 1, 0.2), ("auto", 2, None, 0, 0.3)),
    *(("each", 0, "acked", 1, 0.1), ("each", 1, "acked", 2, 0.2), ("each", 2, "acked", 1, 0.3)),
)
POISONED = _frame(
    TASKS,
    *(("requeue", 0, "acked", 1, 0.1), ("requeue", 1, "requeued", 5000, 0.2), ("requeue", 2, None, 0, 0.3)),
    *(("reject", 0, "acked", 1, 0.1), ("reject", 1, "rejected", 1, 0.2), ("reject", 2, "acked", 1, 0.3)),
)
BATCHES = _frame(
    "n acked_msg_s repeated", (1, 9_000.0, 0), (1, 11_000.0, 0), (10, 20_000.0, 9), (100, 21_000.0, 99)
)
# Each with the titles of its axes.
FIGURES = {
    "speedup": (
        lambda: plot_speedup(ROWS),
        ["4 times the workers: 3.3 times as fast", "80% of the ideal at the end"],
    ),
    "depth": (
        lambda: plot_depth(DEPTH, last_s=0.7),
        ["Up to 7 tasks wait for 1 worker, up to 2 for 4 workers"],
    ),
    "gantt": (
        lambda: plot_gantt(DELIVERIES.assign(case=DELIVERIES["prefetch"]), by="case"),
        ["case 1: done after 1 s", "case 0: done after 3 s"],
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
    "rates of one run": (
        lambda: plot_rates(RATES.head(1)),
        ["More prefetch makes the distant consumer 1 times as fast, the near one 1.0 times"],
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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("outages", ["▲ 2,000", "closed", "restart"]),
        ("sharing", ["fairness", "idle share", "8 x 20 = all"]),  # a prefetch of 20 deals out all tasks
        ("survival", ["0 of 100\n100 lost", "97 of 100\n3 lost", "0 of 90\n90 lost"]),
        ("survival", ["1,200 of 1,200\nnothing lost", *["refused"] * 4]),
        ("outcomes", ["done: 1", "delivered again: 0", "lost: 2"]),
        ("outcomes", ["done: 3", "delivered again: 1", "lost: 0"]),
    ],
)
def test_what_a_figure_shows_is_named_beside_it(name: str, words: list[str]) -> None:
    texts = [text.get_text() for text in FIGURES[name][0]().axes[0].texts]

    assert words == [text for text in texts if text in words]


def test_outages_are_shaded_and_what_does_not_last_is_a_line() -> None:
    rates, events = plot_outages(FAULTS).axes

    assert len(rates.patches) == len(events.patches) == 1
    assert [line.get_label() for line in rates.get_lines()][:3] == ["published", "confirmed", "received"]
    assert [tick.get_text() for tick in events.get_yticklabels()] == ["lost", "recovered"]
    assert 100 < rates.get_ylim()[1] < 1000  # the peak after the outage does not press the rest flat


def test_no_figure_stays_open_when_drawing_fails() -> None:
    with pytest.raises(KeyError):
        plot_depth(DEPTH.drop(columns="time_s"), last_s=1)

    assert plt.get_fignums() == []


def test_lines_of_depth_differ_by_marker_as_well_as_by_color() -> None:
    (axes,) = plot_depth(DEPTH, last_s=0.7).axes
    markers = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]

    assert len({line.get_marker() for line in markers}) == 2
    assert len({line.get_color() for line in markers}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 worker: 7", "4 workers: 2"]


def test_cases_of_a_gantt_chart_share_their_time_and_their_lanes() -> None:
    upper, lower = plot_gantt(DELIVERIES, by="prefetch").axes

    assert upper.get_title(loc="left") == "prefetch 1: done after 1 s"
    assert lower.get_title(loc="left") == "no limit: done after 3 s"
    assert upper.get_xlim() == lower.get_xlim()
    # What was never settled has no bar.
    bars = [[(bar.get_x(), bar.get_width()) for bar in axes.patches] for axes in (upper, lower)]
    assert bars == [[(0, 0.5), (0, 1), (0.5, 0.5)], [(0, 1), (1, 1), (2, 1)]]
    assert [text.get_text() for text in upper.get_yticklabels()] == ["w-2", "w-10"]
    assert upper.get_ylim() == lower.get_ylim() == (1.5, -0.5)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "time from the first delivery (s)")
