"""How long tasks of high and of normal priority wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, MEASURED, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HIGH_COLOR = COLORS[1]
SHORTEST_MS = 0.5  # where a wait is drawn that is shorter still
FLAT = 1.5  # waits of which one is less than so many times the other are about equal


def plot_waits_over_day(waits: pd.DataFrame) -> Figure:
    """Draw how long each task waited against when it was published, for one design."""
    is_high = waits["priority"] == "high"
    high, normal = waits[is_high], waits[~is_high]
    with new_figure(1, 1) as (figure, (axes,)):
        axes.plot(normal["published_s"], normal["until_work_ms"], "o", color=MEASURED, ms=4, label="normal")
        axes.plot(
            high["published_s"], high["until_work_ms"], "D", color=HIGH_COLOR, ms=4, label="high-priority"
        )
        axes.set(xlabel="published at (s)", ylabel="wait (ms)", ylim=(0, None))
        axes.set_title(_verdict(high["until_work_ms"].median(), high["matched_normal_ms"].median()))
        axes.legend(loc="upper left")
    return figure


def plot_waits_by_design(rows: pd.DataFrame) -> Figure:
    """Draw the median wait in each design, of high-priority tasks and of those beside them."""
    with new_figure(1, 1, height_in=0.9 + 0.7 * len(rows)) as (figure, (axes,)):
        for y, (high_ms, normal_ms) in enumerate(
            zip(rows["high_ms"], rows["matched_normal_ms"], strict=True)
        ):
            high_at, normal_at = max(high_ms, SHORTEST_MS), max(normal_ms, SHORTEST_MS)
            axes.plot([high_at, normal_at], [y, y], "-", color="0.8", lw=2, zorder=1)
            axes.plot(normal_at, y, "o", color=MEASURED, ms=11)
            axes.plot(high_at, y, "D", color=HIGH_COLOR, ms=7)
            label(axes, f"{high_ms:,.0f} ms", high_at, y, HIGH_COLOR, offset=(-9, -4))
            label(axes, f"{normal_ms:,.0f} ms", normal_at, y, MEASURED, offset=(10, -4))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set(xlabel="median wait (ms)", ylim=(len(rows) - 0.5, -0.6))
        axes.margins(x=0.2)
        axes.set_yticks(range(len(rows)), rows["design"])
        axes.grid(visible=False, axis="y")
        least = rows["design"].iloc[int(rows["high_ms"].argmin())]
        axes.set_title(f"High-priority tasks (◆) wait least in the {least}; ● are normal tasks")
    return figure


def _verdict(high_ms: float, normal_ms: float) -> str:
    if normal_ms > FLAT * high_ms:
        return "High-priority tasks wait less than normal ones of the same moment"
    if high_ms > FLAT * normal_ms:
        return "High-priority tasks wait longer than normal ones of the same moment"
    return "High-priority tasks wait as long as normal ones of the same moment"
