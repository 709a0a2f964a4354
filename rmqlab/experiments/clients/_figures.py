"""The figure of a comparison: how many times as fast as plain pika each variant is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import NullFormatter

from rmqlab.figures import COLORS, GREY, MARKERS, label, new_figure
from rmqlab.measure import summarize_repeats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TIMES = "\N{MULTIPLICATION SIGN}"
LIBRARIES = ("rmqlab", "pika", "aio-pika", "py-amqp", "amqpstorm")
LOOKS = dict(zip(LIBRARIES, zip(COLORS, MARKERS, strict=True), strict=False))
ROW_IN, FRAME_IN = 0.33, 1.3
ABOVE = 0.28  # of a row: how far the reference lies below what was measured now
ROLES = {"publish": "publishing", "consume": "consuming"}


def plot_clients(runs: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Draw each variant's ratio to plain pika: the median of the rounds, and the lowest to the highest.

    Args:
        runs: one row a run, from `compare_clients`: role, variant, library, ratio.
        reference: such runs made at another time, to lay beside, with more variants or fewer.

    Returns:
        A figure with one axes, a row a variant, the fastest of each role first.
    """
    now = _summary(runs)
    then = now.iloc[:0] if reference is None else _summary(reference)
    shown = now.combine_first(then)
    rows = [
        (role, variant)
        for role in ROLES
        if role in shown.index.get_level_values("role")
        for variant in ("", *shown.xs(role).sort_values("ratio", ascending=False).index)
    ]
    with new_figure(1, 1, height_in=FRAME_IN + ROW_IN * len(rows)) as (figure, (axes,)):
        for place, key in enumerate(rows):
            if key in then.index:
                _draw(axes, place + ABOVE, then.loc[key], (GREY, "|"), text=key not in now.index)
            if key in now.index:
                _draw(axes, place, now.loc[key], LOOKS[now.loc[key, "library"]], text=True)
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.set_xlim(shown["ratio_low"].min() / 1.5, shown["ratio_high"].max() * 8)  # room for labels
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(rows)), [variant or ROLES[role] for role, variant in rows])
        for tick, (_, variant) in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("normal" if variant else "bold")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        gray = "" if reference is None else "\n(gray: the reference run)"
        axes.set_xlabel(f"{TIMES} plain pika's rate in the same round: median, lowest to highest{gray}")
        figure.suptitle(_finding(now), x=0.01, ha="left", weight="bold", size=12)
    return figure


def _summary(runs: pd.DataFrame) -> Any:
    by = ["role", "variant", "library"]
    return summarize_repeats(runs, by, ["ratio"]).set_index(["role", "variant"])


def _draw(axes: Axes, place: float, row: Any, look: tuple[str, str], *, text: bool) -> None:
    color, marker = look
    axes.hlines(place, row["ratio_low"], row["ratio_high"], color=color, linewidth=3, alpha=0.45)
    axes.plot(row["ratio"], place, marker, color=color)
    if text:
        spread = f"  ({times(row['ratio_low'])} to {times(row['ratio_high'])})"
        words = f"{times(row['ratio'])} {TIMES}{spread if row['ratio_low'] < row['ratio_high'] else ''}"
        label(axes, words, row["ratio_high"], place, color, offset=(8, -4))


def _finding(summary: Any) -> str:
    """Return how the fastest of each role compares with plain pika."""
    others = summary[summary["ratio_low"] < summary["ratio_high"]]  # a baseline is 1 in each round
    fastest = others.sort_values("ratio").groupby("role").tail(1).sort_index(ascending=False)
    return "\n".join(
        f"{ROLES[role].capitalize()}: {variant}, {times(ratio)} times as fast as plain pika"
        for (role, variant), ratio in fastest["ratio"].items()
    )


def times(ratio: float) -> str:
    """Write a ratio with as many digits as can be believed."""
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"  # noqa: PLR2004
