"""What a prefetch does: to fairness, to makespan, and to the throughput over a distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, GREY, MARKERS, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAIR, IDLE, MAKESPAN = COLORS[2], COLORS[3], COLORS[4]
RATES = (COLORS[0], COLORS[1], COLORS[5])  # one for each delay


def plot_sharing(sharing: pd.DataFrame) -> Figure:
    """Draw how workers share a workload, by their prefetch."""
    runs = sharing.sort_values("prefetch")
    first, last = runs.iloc[0], runs.iloc[-1]
    with new_figure(1, 2) as (figure, (left, right)):
        left.plot(runs["prefetch"], runs["jain_busy"], marker=MARKERS[0], color=FAIR)
        label(left, "fairness", first["prefetch"], first["jain_busy"], FAIR, offset=(6, -16))
        left.plot(runs["prefetch"], runs["idle_share"], marker=MARKERS[3], color=IDLE)
        label(left, "idle share", last["prefetch"], last["idle_share"], IDLE, offset=(-4, -18))
        left.set(ylabel="fairness (Jain), idle share", ylim=(0, 1.05))
        left.set_title(
            f"From prefetch {first['prefetch']:.0f} to {last['prefetch']:.0f}, fairness goes "
            f"from {first['jain_busy']:.2f} to {last['jain_busy']:.2f}"
        )
        right.plot(runs["prefetch"], runs["makespan_s"], marker=MARKERS[4], color=MAKESPAN)
        right.axhline(first["ideal_s"], linestyle="--", color=GREY)
        label(right, "ideal", first["prefetch"], first["ideal_s"], GREY, offset=(6, -14))
        label(right, "measured", first["prefetch"], first["makespan_s"], MAKESPAN, offset=(6, 10))
        right.set(ylabel="makespan (s)", ylim=(0, None))
        dealt_out = first["published"] / first["workers"]
        for axes in (left, right):
            _against_prefetch(axes, runs["prefetch"])
            axes.axvline(dealt_out, linestyle=":", color=GREY)
        label(left, f"{first['workers']:.0f} x {dealt_out:g} = all", dealt_out, 0.05, GREY, offset=(-5, 0))
    return figure


def plot_rates(rows: pd.DataFrame) -> Figure:
    """Draw the throughput against the prefetch, one line for each distance from the broker."""
    factors = []
    with new_figure(1, 1) as (figure, (axes,)):
        for number, (delay_ms, runs) in enumerate(rows.groupby("delay_ms")):
            rate = runs.groupby("prefetch")["rate_msg_s"].median()
            color = RATES[number % len(RATES)]
            axes.plot(rate.index, rate, marker=MARKERS[number + 1], color=color)
            name = "on loopback" if delay_ms == 0 else f"{delay_ms:g} ms away"
            second = min(1, len(rate) - 1)
            label(axes, name, float(rate.index[second]), rate.iloc[second], color, offset=(9, -15))
            factors.append(rate.max() / rate.iloc[0])
        axes.set_title(
            f"More prefetch makes the distant consumer {factors[-1]:.0f} times as fast, "
            f"the near one {factors[0]:.1f} times"
        )
        axes.set(ylabel="throughput (messages/s)", ylim=(0, rows["rate_msg_s"].max() * 1.15))
        _against_prefetch(axes, rows["prefetch"])
    return figure


def _against_prefetch(axes: Axes, values: pd.Series) -> None:
    shown = sorted(set(values))
    axes.set(xscale="log", xlabel="prefetch")
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.set_xticks([], minor=True)
