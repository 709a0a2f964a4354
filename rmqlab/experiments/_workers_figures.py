"""How a number of workers does: makespan, throughput, and the depth of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, NullLocator

from rmqlab.figures import COLORS, GREY, MARKERS, MEASURED, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

# Where a label may stand beside its point: offsets in points, the best one first.
Sides = tuple[tuple[int, int], ...]
ABOVE: Sides = ((-6, 5), (6, 5))
BELOW: Sides = ((6, -13), (-6, -13))
ANYWHERE: Sides = tuple(
    sorted(
        ((x, y) for x in (-8, 8, -16, 16, -24, 24, -32, 32) for y in range(-25, 30, 2)),
        key=lambda side: abs(side[0]) + abs(side[1] - 5),  # near, and above rather than below
    )
)
LABEL_MARGINS_PX = (5, 2)  # the white around a label, and half a line; its box is high enough
HEADROOM = 1.2  # for the label of the highest point


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
            highest = max(_points(line)[:, 1].max() for line in axes.get_lines())
            axes.set(xlabel="workers", ylim=(0, highest * HEADROOM))
            axes.xaxis.set_major_locator(FixedLocator(list(workers)))
            axes.xaxis.set_minor_locator(NullLocator())
        figure.draw_without_rendering()  # only now is it known where everything is
        _name_lines(left, {"ideal": BELOW, "measured": ABOVE})
        _name_lines(right, {"ideal": ABOVE, "measured": BELOW})
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
        for number, at in enumerate(peaks.values()):  # over all lines
            axes.plot(*at, MARKERS[number % len(MARKERS)], color=COLORS[number % len(COLORS)])
        fewest, most = min(peaks), max(peaks)
        axes.set(xlabel="time (s)", ylabel="tasks in the queue")
        axes.set_title(
            f"Up to {peaks[fewest][1]} tasks wait for {_workers(fewest)}, "
            f"up to {peaks[most][1]} for {_workers(most)}"
        )
        axes.set_ylim(0, max(ready for _, ready in peaks.values()) * HEADROOM + 1)
        figure.draw_without_rendering()
        numbers = {workers: number for number, workers in enumerate(peaks)}
        for workers, at in sorted(peaks.items(), key=lambda peak: -peak[1][1]):
            text = f"{_workers(workers)}: {at[1]}"
            _label_freely(axes, text, [at], COLORS[numbers[workers] % len(COLORS)], sides=ANYWHERE)
    return figure


def _beside_ideal(axes: Axes, workers: pd.Series, *, measured: pd.Series, ideal: pd.Series) -> None:
    axes.plot(workers, ideal, "--", color=GREY, label="ideal")
    axes.plot(workers, measured, marker="o", color=MEASURED, label="measured")


def _name_lines(axes: Axes, sides: dict[str, Sides]) -> None:
    """Write the name of each line at one of its points, the second if it can be."""
    for line in axes.get_lines():
        points = [(float(x), float(y)) for x, y in _points(line)]
        name, color = str(line.get_label()), str(line.get_color())
        _label_freely(axes, name, points[1:] + points[:1], color, sides=sides[name])


def _label_freely(axes: Axes, text: str, points: list[tuple[float, float]], color: str, sides: Sides) -> None:
    """Write a text beside the first point where it covers nothing, or else the least."""
    places = [(point, side) for point in points for side in sides]
    covered = []
    for (x, y), side in places:
        written = label(axes, text, x, y, color, offset=side)
        covered.append(_count_covered(axes, written))
        if not covered[-1]:
            return
        written.remove()
    (x, y), side = places[covered.index(min(covered))]
    label(axes, text, x, y, color, offset=side)


def _count_covered(axes: Axes, text: Annotation) -> int:
    """Count the lines and texts that a text covers; outside of the axes, as many as there are."""
    box = text.get_window_extent().padded(*LABEL_MARGINS_PX)
    others = [other.get_window_extent() for other in axes.texts if other is not text]
    paths = [_drawn_path(line).transformed(axes.transData) for line in axes.get_lines()]
    if not (axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)):
        return len(others) + len(paths)
    return sum(map(box.overlaps, others)) + sum(path.intersects_bbox(box, filled=False) for path in paths)


def _points(line: Line2D) -> NDArray[np.float64]:
    """Return the points of a line, one in a row: x, y."""
    return np.asarray(line.get_xydata(), dtype=float)


def _drawn_path(line: Line2D) -> Path:
    """Return the path of a line as it is drawn, with its steps."""
    return Path(np.column_stack(STEP_LOOKUP_MAP[line.get_drawstyle()](*_points(line).T)))


def _workers(count: object) -> str:
    return f"{count} worker" if str(count) == "1" else f"{count} workers"


def _speedup_title(runs: pd.DataFrame) -> str:
    first, last = runs.iloc[0], runs.iloc[-1]
    factor = first["makespan_s"] / last["makespan_s"]
    times = last["workers"] / first["workers"]
    return f"{times:.0f} times the workers: {factor:.1f} times as fast"
