"""How workers do: makespan and throughput, the depth of the queue, and a Gantt chart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba_array
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rmqlab.figures import COLORS, GREY, MARKERS, MEASURED, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADROOM = 1.2  # for the legend, over the highest point
MARKED = {"redelivered": COLORS[1], "requeued": COLORS[4]}
LANE_IN = 0.3
LANES_IN = 8.0  # of all axes together, at most
FRAME_IN = 0.6  # an axes' title, and what is around it
FOOT_IN = 0.4
LABEL_IN = 0.18
BAR = 0.8  # of a lane


def plot_speedup(rows: pd.DataFrame) -> Figure:
    """Draw makespan and efficiency against the number of workers, beside the ideal lines."""
    runs = rows.sort_values("workers")
    workers = runs["workers"]
    with new_figure(1, 2) as (figure, (left, right)):
        _beside_ideal(left, workers, measured=runs["makespan_s"], ideal=runs["ideal_s"])
        left.set(ylabel="makespan (s)", title=_speedup_title(runs))
        _beside_ideal(right, workers, measured=runs["efficiency"], ideal=runs["efficiency"] * 0 + 1)
        right.set(ylabel="efficiency", title=f"{runs['efficiency'].iloc[-1]:.0%} of the ideal at the end")
        right.yaxis.set_major_formatter(PercentFormatter(1))
        for axes in (left, right):
            highest = max(float(np.max(line.get_ydata())) for line in axes.get_lines())
            axes.set(xlabel="workers", ylim=(0, highest * HEADROOM))
            axes.set_xticks(list(workers))
            axes.set_xticks([], minor=True)
        left.legend()
    return figure


def plot_depth(depth: pd.DataFrame, *, last_s: float | None = None) -> Figure:
    """Draw how many tasks wait over time, a line for each number of workers, and the last arrival."""
    peaks = depth.loc[depth.groupby("workers")["ready"].idxmax()]
    with new_figure(1, 1) as (figure, (axes,)):
        for number, (_, run) in enumerate(depth.groupby("workers")):
            axes.step(run["time_s"], run["ready"], where="post", color=COLORS[number % len(COLORS)])
        for number, (workers, time_s, ready) in enumerate(peaks[["workers", "time_s", "ready"]].to_numpy()):
            marker, color = MARKERS[number % len(MARKERS)], COLORS[number % len(COLORS)]
            name = f"{_workers(workers)}: {ready:.0f}"
            axes.plot(time_s, ready, marker, color=color, label=name)  # over all lines
        fewest, most = peaks.iloc[0], peaks.iloc[-1]
        axes.set(xlabel="time (s)", ylabel="tasks in the queue")
        axes.set_title(
            f"Up to {fewest['ready']:.0f} tasks wait for {_workers(fewest['workers'])}, "
            f"up to {most['ready']:.0f} for {_workers(most['workers'])}"
        )
        axes.set_ylim(0, depth["ready"].max() * HEADROOM + 1)
        axes.legend(title="the most that wait")
        if last_s is not None:
            axes.axvline(last_s, linestyle=":", color=GREY)
            label(axes, "last arrival", last_s, depth["ready"].max(), GREY, offset=(5, 8))
    return figure


def _beside_ideal(axes: Axes, workers: pd.Series, *, measured: pd.Series, ideal: pd.Series) -> None:
    axes.plot(workers, ideal, "--", color=GREY, label="ideal")
    axes.plot(workers, measured, marker="o", color=MEASURED, label="measured")


def _workers(count: float) -> str:
    return f"{count:.0f} worker{'s' if count > 1 else ''}"


def _speedup_title(runs: pd.DataFrame) -> str:
    first, last = runs.iloc[0], runs.iloc[-1]
    factor = first["makespan_s"] / last["makespan_s"]
    times = last["workers"] / first["workers"]
    return f"{times:.0f} times the workers: {factor:.1f} times as fast"


def plot_gantt(deliveries: pd.DataFrame, *, by: str | None = None) -> Figure:
    """Draw what each consumer worked on over time, with axes of its own for each value of `by`."""
    cases = {None: deliveries} if by is None else dict(list(deliveries.groupby(by, sort=False)))
    lanes = sorted(set(deliveries["consumer"]), key=lambda name: (len(name), name))  # 9 before 10
    lane_in = min(LANE_IN, LANES_IN / len(lanes) / len(cases))
    height_in = (lane_in * len(lanes) + FRAME_IN) * len(cases) + FOOT_IN
    with new_figure(len(cases), 1, height_in=height_in, share_x=True) as (figure, grid):
        marked: set[str] = set()
        ends_s = []
        for axes, (case, rows) in zip(grid, cases.items(), strict=True):
            marked |= _bars(axes, rows, lanes)
            end_s = rows["settled_s"].max() - rows["delivered_s"].min()
            axes.set_title(_title(by, case, end_s))
            ends_s.append(end_s)
            shown = range(0, len(lanes), math.ceil(LABEL_IN / lane_in))
            axes.set_yticks(shown, [lanes[place] for place in shown])
            axes.set_ylim(len(lanes) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False, axis="y")
        if last_s := np.nanmax([0, *ends_s]):
            grid[0].set_xlim(0, last_s)
        grid[-1].set_xlabel("time from the first delivery (s)")
        if len(cases) > 1:
            figure.supylabel("consumer", fontsize=11)
        else:
            grid[0].set_ylabel("consumer")
        if marked:
            handles = [Patch(color=color, label=kind) for kind, color in MARKED.items() if kind in marked]
            grid[0].legend(
                handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.3
            )
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, lanes: list[str]) -> set[str]:
    """Draw the bars of one case, and return which kinds of MARKED are among them."""
    bars = rows[rows["settled_s"].notna()].sort_values("begun_s", kind="stable")
    start_s = rows["delivered_s"].min()
    lane = bars["consumer"].map({name: place for place, name in enumerate(lanes)}).to_numpy()
    left, right = (bars["begun_s"] - start_s).to_numpy(), (bars["settled_s"] - start_s).to_numpy()
    low, high = lane - BAR / 2, lane + BAR / 2
    corners = np.stack([left, low, left, high, right, high, right, low], axis=1).reshape(-1, 4, 2)
    colors = np.full(len(bars), MEASURED, dtype=object)
    is_marked = {
        "requeued": (bars["outcome"] == "requeued").to_numpy(),
        "redelivered": bars["redelivered"].to_numpy(bool),
    }
    for kind, which in is_marked.items():
        colors[which] = MARKED[kind]
    # A white edge shows where one task ends and the next one begins.
    bars_drawn = PolyCollection(
        list(corners), facecolors=to_rgba_array(list(colors)), edgecolors="white", linewidths=0.4
    )
    axes.add_collection(bars_drawn)
    return {kind for kind, color in MARKED.items() if (colors == color).any()}


def _title(by: str | None, case: object, end_s: float) -> str:
    done = "nothing done" if math.isnan(end_s) else f"done after {_seconds(end_s)} s"
    if by is None:
        return done.capitalize()
    if by == "prefetch" and case == 0:
        return f"no limit: {done}"
    return f"{case}: {done}" if isinstance(case, str) else f"{by} {case}: {done}"


def _seconds(time_s: float) -> str:
    return f"{time_s:.1f}" if time_s >= 1 else f"{time_s:.2g}"
