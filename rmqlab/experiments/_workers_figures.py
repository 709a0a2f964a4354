"""How a number of workers does: makespan, throughput, and the depth of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmqlab.figures import COLORS, GREY, MARKERS, MEASURED, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADROOM = 1.2  # for the legend, over the highest point


def plot_speedup(summary: pd.DataFrame) -> Figure:
    """Draw makespan and throughput against the number of workers, beside the ideal lines.

    Args:
        summary: one row a run, from `Runs.summary`: workers, makespan_s, ideal_s,
            rate_msg_s, acked.

    Returns:
        A figure with two axes: seconds on the left, tasks per second on the right.
    """
    runs = summary.sort_values("workers")
    workers = runs["workers"]
    with new_figure(1, 2) as (figure, (left, right)):
        _beside_ideal(left, workers, measured=runs["makespan_s"], ideal=runs["ideal_s"])
        left.set(ylabel="makespan (s)", title=_speedup_title(runs))
        _beside_ideal(right, workers, measured=runs["rate_msg_s"], ideal=runs["acked"] / runs["ideal_s"])
        right.set(ylabel="throughput (tasks/s)")
        for axes in (left, right):
            highest = max(float(np.max(line.get_ydata())) for line in axes.get_lines())
            axes.set(xlabel="workers", ylim=(0, highest * HEADROOM))
            axes.set_xticks(list(workers))
            axes.set_xticks([], minor=True)
        left.legend()
    return figure


def plot_depth(depth: pd.DataFrame) -> Figure:
    """Draw how many tasks wait in the queue over time, one line for each number of workers.

    Args:
        depth: one row a change, from `Runs.depth`: workers, time_s, ready.

    Returns:
        A figure with one axes.
    """
    with new_figure(1, 1) as (figure, (axes,)):
        peaks: dict[int, tuple[float, int]] = {}
        for number, (workers, run) in enumerate(depth.groupby("workers")):
            color = COLORS[number % len(COLORS)]
            axes.step(run["time_s"], run["ready"], where="post", color=color)
            peak = run.iloc[int(run["ready"].to_numpy().argmax())]
            peaks[int(str(workers))] = float(peak["time_s"]), int(peak["ready"])
        for number, (workers, at) in enumerate(peaks.items()):  # over all lines
            marker, color = MARKERS[number % len(MARKERS)], COLORS[number % len(COLORS)]
            axes.plot(*at, marker, color=color, label=f"{_workers(workers)}: {at[1]}")
        fewest, most = min(peaks), max(peaks)
        axes.set(xlabel="time (s)", ylabel="tasks in the queue")
        axes.set_title(
            f"Up to {peaks[fewest][1]} tasks wait for {_workers(fewest)}, "
            f"up to {peaks[most][1]} for {_workers(most)}"
        )
        axes.set_ylim(0, max(ready for _, ready in peaks.values()) * HEADROOM + 1)
        axes.legend(title="the most that wait")
    return figure


def _beside_ideal(axes: Axes, workers: pd.Series, *, measured: pd.Series, ideal: pd.Series) -> None:
    axes.plot(workers, ideal, "--", color=GREY, label="ideal")
    axes.plot(workers, measured, marker="o", color=MEASURED, label="measured")


def _workers(count: object) -> str:
    return f"{count} worker" if str(count) == "1" else f"{count} workers"


def _speedup_title(runs: pd.DataFrame) -> str:
    first, last = runs.iloc[0], runs.iloc[-1]
    factor = first["makespan_s"] / last["makespan_s"]
    times = last["workers"] / first["workers"]
    return f"{times:.0f} times the workers: {factor:.1f} times as fast"
