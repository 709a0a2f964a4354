"""The figure of a comparison: how many times as fast as plain pika each variant is."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from rmqlab.figures import COLORS, GREY, MARKERS, label, new_figure
from rmqlab.measure import summarize_repeats

TIMES = "\N{MULTIPLICATION SIGN}"
LIBRARIES = ("rmqlab", "pika", "aio-pika", "py-amqp", "amqpstorm")
LOOKS = dict(zip(LIBRARIES, zip(COLORS, MARKERS, strict=True), strict=False))
ROW_IN, FRAME_IN = 0.33, 1.3
BELOW = 0.28  # of a row: how far the reference lies below what was measured now
ROLES = {"publish": "publishing", "consume": "consuming"}


def summarize_clients(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each variant's median ratio, lowest and highest: publishers first, the fastest of each first."""
    ratios = summarize_repeats(runs, ["role", "variant", "library"], ["ratio"])
    return ratios.sort_values(["role", "ratio"], ascending=False, ignore_index=True)


def plot_clients(runs: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Draw each variant's ratio to plain pika: the median of the rounds, and the lowest to the highest.

    Args:
        runs: one row a run, from `compare_clients`: role, variant, library, ratio.
        reference: such runs made at another time, to lay beside, with more variants or fewer.

    Returns:
        A figure with one axes, a row a variant, the fastest of each role first.
    """
    now = summarize_clients(runs)
    then = summarize_clients(runs.iloc[:0] if reference is None else reference)
    # What was measured now gives the order; what only the reference has is put in between.
    shown = pd.concat([now, then]).drop_duplicates(["role", "variant"])
    shown = shown.sort_values(["role", "ratio"], ascending=False)
    names = [
        name for role, variants in shown.groupby("role", sort=False) for name in (role, *variants["variant"])
    ]
    with new_figure(1, 1, height_in=FRAME_IN + ROW_IN * len(names)) as (figure, (axes,)):
        for _, row in then.iterrows():
            is_alone = row["variant"] not in set(now["variant"])
            _draw(axes, names.index(row["variant"]) + BELOW, row, (GREY, "|"), with_text=is_alone)
        for _, row in now.iterrows():
            _draw(axes, names.index(row["variant"]), row, LOOKS[row["library"]])
        axes.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.set_xlim(shown["ratio_low"].min() / 1.5, shown["ratio_high"].max() * 15)  # room for labels
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(names)), [ROLES.get(name, name) for name in names])
        for role in shown["role"].unique():
            axes.get_yticklabels()[names.index(role)].set_fontweight("bold")
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        gray = "" if reference is None else "\n(gray: the reference run)"
        axes.set_xlabel(f"{TIMES} plain pika's rate in the same round: median, lowest to highest{gray}")
        figure.suptitle(_finding(now), x=0.01, ha="left", weight="bold", size=12)
    return figure


def _draw(axes: Axes, place: float, row: Any, look: tuple[str, str], *, with_text: bool = True) -> None:
    color, marker = look
    axes.hlines(place, row["ratio_low"], row["ratio_high"], color=color, linewidth=3, alpha=0.45)
    axes.plot(row["ratio"], place, marker, color=color)
    if with_text:
        spread = f"  ({row['ratio_low']:.3g} to {row['ratio_high']:.3g})"
        text = f"{row['ratio']:.3g} {TIMES}{spread if row['ratio_low'] < row['ratio_high'] else ''}"
        label(axes, text, row["ratio_high"], place, color, offset=(8, -4))


def _finding(ratios: pd.DataFrame) -> str:
    """Return how the fastest of each role compares with plain pika."""
    others = ratios[ratios["ratio_low"] < ratios["ratio_high"]]  # a baseline is 1 in each round
    fastest = others.groupby("role", sort=False).head(1)
    return "\n".join(
        f"{ROLES[role].capitalize()}: {variant}, {ratio:.3g} times as fast as plain pika"
        for role, variant, ratio in fastest[["role", "variant", "ratio"]].to_numpy()
    )
