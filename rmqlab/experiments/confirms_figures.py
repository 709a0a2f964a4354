"""What confirms cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from rmqlab.figures import MEASURED, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LATENCIES = ["confirm_median_ms", "confirm_p99_ms"]


def plot_confirm_cost(rows: pd.DataFrame) -> Figure:
    """Draw each strategy's throughput with the range of its repeats, and how long its confirms take."""
    by_strategy = rows.groupby("strategy", sort=False)
    rates = by_strategy["rate_msg_s"].agg(["median", "min", "max"])
    latencies = by_strategy[LATENCIES].median()
    names = [str(name) for name in rates.index]
    lanes = np.arange(len(names))
    with new_figure(1, 2) as (figure, (left, right)):
        spread = [rates["median"] - rates["min"], rates["max"] - rates["median"]]
        left.barh(lanes, rates["median"], xerr=spread, color=MEASURED, height=0.55, ecolor="0.3")
        for lane, (rate, high) in enumerate(zip(rates["median"], rates["max"], strict=True)):
            left.annotate(f"{rate:,.0f}", (high, lane), (6, 0), textcoords="offset points", va="center")
        left.set(xlabel="throughput (messages/s)", xlim=(0, rates["max"].max() * 1.35))
        asked, slowest = rates["median"].drop("none", errors="ignore"), rates["median"].idxmin()
        factor = asked.max() / rates["median"].min()
        left.set_title(f"{asked.idxmax()} is {factor:.0f} times as fast as {slowest}")
        left.xaxis.set_major_locator(MaxNLocator(4))
        left.xaxis.set_major_formatter("{x:,.0f}")
        right.hlines(lanes, latencies["confirm_median_ms"], latencies["confirm_p99_ms"], color=MEASURED, lw=3)
        right.plot(latencies["confirm_median_ms"], lanes, "o", color=MEASURED, ms=9)
        lowest, highest = latencies.min().min(), latencies.max().max()
        for lane in lanes[latencies.isna().all(axis="columns")]:
            right.text(lowest, lane, "no confirms", va="center", color="0.4")
        right.set(
            xscale="log", xlabel="from publishing to the confirm (ms):\nmedian, and to the 99th percentile"
        )
        right.set_xlim(lowest / 1.6, highest * 1.6)
        medians = latencies["confirm_median_ms"]
        right.set_title(f"A confirm takes {medians.min():.1f} to {medians.max():.0f} ms")
        right.xaxis.set_major_formatter("{x:g}")
        right.set_xticks([], minor=True)
        for axes in (left, right):
            axes.set_yticks(lanes, names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
    return figure
