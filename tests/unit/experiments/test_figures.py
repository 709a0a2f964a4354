"""Figures: what a reader needs on them, what they say, and what must not stay behind."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from helpers import assert_figure_is_complete
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from rmqlab import experiments
from rmqlab.experiments.acknowledgement_figures import plot_ack_batches, plot_outcomes, plot_poison
from rmqlab.experiments.confirms_figures import plot_confirm_cost
from rmqlab.experiments.durability_figures import plot_durability
from rmqlab.experiments.prefetch_figures import plot_rates, plot_sharing
from rmqlab.experiments.recovery_figures import plot_outages, plot_recoveries
from rmqlab.experiments.workers_figures import plot_depth, plot_gantt, plot_speedup

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
