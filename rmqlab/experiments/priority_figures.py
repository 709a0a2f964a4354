"""How long tasks of high and of normal priority wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator

from rmqlab.figures import COLORS, MEASURED, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGH_COLOR = COLORS[1]
SHORTEST_MS = 1  # what is drawn of waits that are shorter still
MARKS = 8  # markers on a line


def plot_waits_over_day(waits: pd.DataFrame) -> Figure:
    """Draw how long each task waited against when it was published, for one design.

    Args:
        waits: one row a task, from `compare_waits`: priority, published_s, wait_ms,
            matched_normal_ms.

    Returns:
        A figure with one axes.
    """
    high = waits[waits["priority"] == "high"]
    normal = waits[waits["priority"] != "high"]
    with new_figure(1, 1) as (figure, (axes,)):
        axes.plot(normal["published_s"], normal["wait_ms"], ".", color=MEASURED, ms=4, label="normal")
        axes.plot(
            high["published_s"],
            high["wait_ms"],
            "D",
            color=HIGH_COLOR,
            ms=7,
            mfc="none",
            label="high-priority",
        )
        axes.set(xlabel="published at (s)", ylabel="wait (ms)", ylim=(0, None))
        axes.set_title(
            f"Median waits: {_ms(high['wait_ms'])} of high priority, "
            f"{_ms(high['matched_normal_ms'])} beside them"
        )
        axes.legend(loc="upper left", markerscale=1)
    return figure


def plot_waits_by_design(waits: pd.DataFrame) -> Figure:
    """Draw the distribution of waits in each design, of high-priority tasks and those beside them.

    Args:
        waits: one row a task and design, from `compare_waits`: design, priority, wait_ms,
            matched_normal_ms.

    Returns:
        A figure with one axes a design: the share of tasks that waited at most so many
        milliseconds, on a logarithmic scale.
    """
    designs = list(waits["design"].unique())
    with new_figure(1, len(designs)) as (figure, grid):
        gaps = []
        for axes, design in zip(grid, designs, strict=True):
            high = waits[(waits["design"] == design) & (waits["priority"] == "high")]
            # The wider line shows on both sides of the other where the two are the same.
            _distribution(axes, high["matched_normal_ms"], MEASURED, "o-", lw=4, ms=8)
            _distribution(axes, high["wait_ms"], HIGH_COLOR, "D-", lw=1.8, ms=5)
            axes.set_title(
                f"{design}:\n{_ms(high['wait_ms'], unit='')} against {_ms(high['matched_normal_ms'])}"
            )
            axes.set(xscale="log", xlim=(SHORTEST_MS, 2 * max(10, waits["wait_ms"].max())), ylim=(0, 1.02))
            axes.xaxis.set_major_locator(LogLocator(numticks=6))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
            gaps.append(high["matched_normal_ms"].median() / max(SHORTEST_MS, high["wait_ms"].median()))
            if axes is not grid[0]:
                axes.tick_params(axis="y", labelleft=False)
        grid[0].set_ylabel("tasks that wait no longer")
        figure.supxlabel("wait (ms)", fontsize=11)
        widest = int(np.argmax(gaps))
        _name_lines(grid[widest], waits[waits["design"] == designs[widest]])
    return figure


def _distribution(axes: Axes, wait_ms: pd.Series, color: str, style: str, *, lw: float, ms: float) -> None:
    values = np.sort(wait_ms.dropna().to_numpy().clip(SHORTEST_MS))
    share = np.arange(1, len(values) + 1) / max(len(values), 1)
    every = max(1, len(values) // MARKS)
    axes.plot(values, share, style, color=color, markevery=(every // 2, every), lw=lw, ms=ms, clip_on=False)


def _name_lines(axes: Axes, tasks: pd.DataFrame) -> None:
    """Write the names of the two lines into the gap between them, where it is widest."""
    high = tasks[tasks["priority"] == "high"]
    high_ms, matched_normal_ms = (
        float(high["wait_ms"].quantile(0.55)),
        float(high["matched_normal_ms"].quantile(0.2)),
    )
    label(axes, "high-priority", max(high_ms, SHORTEST_MS), 0.55, HIGH_COLOR, offset=(9, -4))
    label(axes, "normal,\nbeside them", max(matched_normal_ms, SHORTEST_MS), 0.2, MEASURED, offset=(-9, -10))


def _ms(wait_ms: pd.Series, unit: str = " ms") -> str:
    return f"{wait_ms.median():,.0f}{unit}"
