"""What survives a killed broker, and what confirms cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import MaxNLocator

from rmqlab.figures import COLORS, MARKERS, MEASURED, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING, SOME, ALL = range(3)  # what survived
SHADES = ("#D55E00", "#F6C9AC", "#0072B2")
INKS = ("white", "0.15", "white")
REFUSED = "0.9"
LATENCIES = {
    "confirm_median_ms": "median",
    "confirm_p95_ms": "95th percentile",
    "confirm_p99_ms": "99th percentile",
}


def plot_survival(survival: pd.DataFrame) -> Figure:
    """Draw what survived a fault as a heat map.

    Args:
        survival: one row a combination, from `measure_durability`: queue, message, confirms,
            presumed_safe, survived, lost.

    Returns:
        A figure with one axes: a row for each queue, a column for each message and confirms.
    """
    queues = list(dict.fromkeys(survival["queue"]))
    columns = list(dict.fromkeys(zip(survival["confirms"], survival["message"], strict=True)))
    columns.sort(key=lambda column: list(dict.fromkeys(survival["confirms"])).index(column[0]))
    keys = zip(survival["queue"], survival["confirms"], survival["message"], strict=True)
    fates = dict(zip(keys, map(_fate, survival["presumed_safe"], survival["survived"]), strict=True))
    with new_figure(1, 1) as (figure, (axes,)):
        shades = np.full((len(queues), len(columns)), np.nan)
        for row, queue in enumerate(queues):
            for place, column in enumerate(columns):
                shade, text, color = fates[queue, *column]
                shades[row, place] = shade
                weight = "bold" if shade == ALL else "normal"
                axes.text(place, row, text, ha="center", va="center", color=color, weight=weight)
        colors = ListedColormap(SHADES).with_extremes(bad=REFUSED)
        axes.imshow(shades, cmap=colors, norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3), aspect="auto")
        _divide(axes, len(queues), len(columns))
        axes.set_xticks(range(len(columns)), [f"{message}\n{_asked(asked)}" for asked, message in columns])
        axes.set_yticks(range(len(queues)), queues)
        axes.set(xlabel="message, and what its publisher knows", ylabel="queue")
        axes.set_title(_survival_title(survival))
    return figure


def plot_confirm_cost(costs: pd.DataFrame) -> Figure:
    """Draw the throughput of publishing strategies, and how long their confirms take.

    Args:
        costs: one row a run, from `publish_for`: strategy, rate_msg_s, confirm_median_ms,
            confirm_p95_ms, confirm_p99_ms; repeats are drawn as the range between them.

    Returns:
        A figure with two axes: messages per second on the left, milliseconds on the right, on
        a logarithmic scale.
    """
    by_strategy = costs.groupby("strategy", sort=False)
    rates = by_strategy["rate_msg_s"].agg(["median", "min", "max"])
    latencies = by_strategy[list(LATENCIES)].median()
    names = [str(name) for name in rates.index]
    with new_figure(1, 2) as (figure, (left, right)):
        rows = np.arange(len(names))
        spread = [rates["median"] - rates["min"], rates["max"] - rates["median"]]
        left.barh(rows, rates["median"], xerr=spread, color=MEASURED, height=0.55, ecolor="0.3")
        for row, (rate, high) in enumerate(zip(rates["median"], rates["max"], strict=True)):
            left.annotate(f"{rate:,.0f}", (high, row), (6, 0), textcoords="offset points", va="center")
        left.set(xlabel="throughput (messages/s)", ylabel="", xlim=(0, rates["max"].max() * 1.35))
        left.set_title(_rate_title(rates["median"]))
        left.xaxis.set_major_locator(MaxNLocator(4))
        left.xaxis.set_major_formatter("{x:,.0f}")
        for place, (column, words) in enumerate(LATENCIES.items()):
            color, marker = COLORS[place + 1], MARKERS[place]
            right.plot(latencies[column], rows, marker, color=color, label=words, markersize=8)
        lowest, highest = latencies.min().min(), latencies.max().max()
        for row in rows[latencies.isna().all(axis="columns")]:
            right.text(lowest, row, "no confirms", va="center", color="0.4")
        right.set(xscale="log", xlabel="from publishing to the confirm (ms)", ylabel="")
        right.set_xlim(lowest / 1.6, highest * 1.6)
        right.set_title(_latency_title(latencies["confirm_median_ms"].dropna()))
        right.xaxis.set_major_formatter("{x:g}")
        right.set_xticks([], minor=True)
        for axes in (left, right):
            axes.set_yticks(rows, names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
        figure.legend(loc="outside lower right", ncols=3)
    return figure


def _fate(presumed_safe: int, survived: int) -> tuple[float, str, str]:
    """Return a cell's shade, what is written there, and in which color."""
    if not presumed_safe:
        return float("nan"), "refused", "0.4"
    if survived == presumed_safe:
        return ALL, f"{survived:,} of {presumed_safe:,}\nnothing lost", INKS[ALL]
    shade = SOME if survived else NOTHING
    return shade, f"{survived:,} of {presumed_safe:,}\n{presumed_safe - survived:,} lost", INKS[shade]


def _divide(axes: Axes, rows: int, columns: int) -> None:
    """Draw white lines between the cells of a heat map."""
    axes.grid(visible=False)
    axes.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=4, alpha=1)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _asked(confirms: str) -> str:
    return "no confirms" if confirms == "none" else confirms


def _survival_title(survival: pd.DataFrame) -> str:
    kept = survival[(survival["lost"] == 0) & (survival["survived"] > 0)]
    title = f"{len(kept)} of {len(survival)} combinations lose nothing"
    asked = set(kept["confirms"])
    return (
        f"{title}, and all of these are {asked.pop()}" if len(asked) == 1 and "none" not in asked else title
    )


def _rate_title(rates: pd.Series) -> str:
    asked = rates.drop("none", errors="ignore")
    return f"{asked.idxmax()} is {asked.max() / rates.min():.0f} times as fast as {rates.idxmin()}"


def _latency_title(medians: pd.Series) -> str:
    return f"A confirm takes {medians.min():.1f} to {medians.max():.0f} ms"
