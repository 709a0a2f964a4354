"""The outcome of tasks when workers crash or fail, and what acknowledging many at once costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, GREY, MARKERS, MEASURED, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DONE, AGAIN, LOST = "0.82", COLORS[0], COLORS[1]
DARK = "0.2"


def plot_outcomes(tasks: pd.DataFrame, *, by: str | None) -> Figure:
    """Draw each run as a band and each task as a stroke: done, delivered again, or lost."""
    runs = _runs(tasks, by)
    with new_figure(1, 1) as (figure, (axes,)):
        parts = []
        for row, (name, run) in enumerate(runs.items()):
            is_done = run["outcome"] == "acked"
            outcomes = {
                "done": (is_done, DONE, DARK, 1.0),
                "delivered again": (is_done & (run["deliveries"] > 1), AGAIN, AGAIN, 2.0),
                "lost": (~is_done, LOST, LOST, 1.2),
            }
            for place, (outcome, (which, color, text_color, width)) in enumerate(outcomes.items()):
                axes.vlines(run.loc[which, "message"], row - 0.3, row + 0.3, color=color, linewidth=width)
                text = f"{outcome}: {which.sum()}"
                axes.text(place * len(run) * 0.28, row - 0.38, text, color=text_color, va="bottom")
            lost = len(run) - is_done.sum()
            parts.append(f"{name} loses {lost}" if lost else f"{name} none")
        axes.set_yticks(range(len(runs)), list(runs))
        axes.set_ylim(len(runs) - 0.5, -0.75)
        axes.grid(visible=False)
        axes.set(xlabel="task, in the order of publishing")
        axes.set_ylabel("acknowledgement")
        axes.set_title(f"One worker crashes: {', '.join(parts)}")
    return figure


def plot_poison(tasks: pd.DataFrame, *, by: str | None) -> Figure:
    """Draw good tasks done over time, and how often those were delivered that were never acknowledged."""
    with new_figure(1, 2) as (figure, (left, right)):
        ends, failures = {}, {}
        for number, (name, run) in enumerate(_runs(tasks, by).items()):
            color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
            done_s = run.loc[run["outcome"] == "acked", "settled_s"].sort_values().to_numpy()
            end_s = float(run["settled_s"].max())
            times, counts = [0.0, *done_s, end_s], [*range(len(done_s) + 1), len(done_s)]
            left.step(times, counts, where="post", color=color)
            left.plot(times[-1], counts[-1], marker, color=color)
            ends[name] = (times[-1], counts[-1], color)
            failures[name] = int(run.loc[run["outcome"] != "acked", "deliveries"].sum())
        _label_ends(left, ends)
        worst = min(ends, key=lambda name: ends[name][1])
        most = max(end[1] for end in ends.values())
        left.set(xlabel="time (s)", ylabel="good tasks done", ylim=(0, most * 1.3), xlim=(0, None))
        left.set_title(f"{worst}: {ends[worst][1]} of {most} good tasks")
        _dots(right, failures, [end[2] for end in ends.values()])
        right.set_title(f"{failures[worst]:,} failures instead of {min(failures.values())}")
    return figure


def _runs(tasks: pd.DataFrame, by: str | None) -> dict[str, pd.DataFrame]:
    if by is None:
        return {"run": tasks}
    return {str(name): run for name, run in tasks.groupby(by, sort=False)}


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, int, str]]) -> None:
    """Name the lines where they end; of several that end at one height, each later one a row higher."""
    latest_s = max(time_s for time_s, _, _ in ends.values())
    heights = [count for _, count, _ in ends.values()]
    taken: list[int] = []
    for name, (time_s, count, color) in sorted(ends.items(), key=lambda end: end[1][0]):
        row = taken.count(count)
        taken.append(count)
        is_above = heights.count(count) > 1
        if time_s > latest_s * 0.6:
            label(axes, name, time_s, count, color, offset=(-6, 8 + 13 * row))
        else:
            label(axes, name, time_s, count, color, offset=(9, 8 + 13 * row if is_above else -4))


def _dots(axes: Axes, counts: Mapping[str, int], colors: list[str]) -> None:
    rows = range(len(counts))
    for row, count, color in zip(rows, counts.values(), colors, strict=True):
        axes.plot(count, row, MARKERS[row % len(MARKERS)], color=color, ms=9)
        label(axes, f"{count:,}", count, row, color, offset=(9, -4))
    axes.set_xscale("log")
    axes.set_xlim(1, max(counts.values()) * 12)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_yticks(rows, list(counts))
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set(xlabel="failed deliveries", ylabel="")


def plot_ack_batches(batches: pd.DataFrame) -> Figure:
    """Draw throughput, and what a crash repeats, against how many messages are acknowledged at once."""
    sizes, rates, repeated = batches["n"], batches["acked_msg_s"], batches["repeated"]
    with new_figure(1, 2) as (figure, (left, right)):
        left.fill_between(
            sizes, batches["acked_msg_s_low"], batches["acked_msg_s_high"], color=MEASURED, alpha=0.15
        )
        left.plot(sizes, rates, marker=MARKERS[0], color=MEASURED)
        left.set(ylabel="throughput (msg/s)", ylim=(0, None))
        left.yaxis.set_major_formatter("{x:,.0f}")
        factor = rates.max() / rates.iloc[0]
        left.set_title(f"The gain: up to {factor:.1f} times the rate")
        # A logarithmic axis has no place for none.
        right.plot(sizes[repeated > 0], repeated[repeated > 0], marker=MARKERS[1], color=COLORS[1])
        right.set(yscale="log", ylabel="messages done twice after a crash")
        right.set_ylim(0.5, max(repeated.max(), 1) * 4)
        right.yaxis.set_major_formatter("{x:,g}")
        for size, count in zip(sizes, repeated, strict=True):
            text, at = (f"{count:,.0f}", count) if count else ("none", 0.55)
            label(right, text, size, at, COLORS[1], offset=(-7, 4) if count else (7, 4))
        right.set_title(f"The price: up to {repeated.max():,.0f} are done twice")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set(xlabel="messages per acknowledgement (n)")
            axes.set_xticks(list(sizes))
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.spines["bottom"].set_color(GREY)
    return figure
