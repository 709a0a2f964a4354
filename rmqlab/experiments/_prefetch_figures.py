"""What a prefetch does: to fairness, to makespan, and to the throughput over a distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, GREY, MARKERS, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAIR, IDLE, MAKESPAN = COLORS[2], COLORS[3], COLORS[4]
RATES = (COLORS[0], COLORS[1], COLORS[5])  # one for each delay


def plot_sharing(sharing: pd.DataFrame) -> Figure:
    """Draw fairness, idle share and makespan against the prefetch.

    Args:
        sharing: one row a prefetch, from `Run.sharing`: prefetch, jain_busy, idle_share,
            makespan_s, ideal_s.

    Returns:
        A figure with two axes: fairness and idle share, from 0 to 1, on the left; seconds on
        the right.
    """
    runs = sharing.sort_values("prefetch")
    first, last = runs.iloc[0], runs.iloc[-1]
    with new_figure(1, 2) as (figure, (left, right)):
        left.plot(runs["prefetch"], runs["jain_busy"], marker=MARKERS[0], color=FAIR)
        label(left, "fairness", first["prefetch"], first["jain_busy"], FAIR, offset=(6, -16))
        left.plot(runs["prefetch"], runs["idle_share"], marker=MARKERS[3], color=IDLE)
        label(left, "idle share", last["prefetch"], last["idle_share"], IDLE, offset=(-4, -18))
        left.set(ylabel="fairness (Jain), idle share", ylim=(0, 1.05))
        left.set_title(
            f"From prefetch {first['prefetch']:.0f} to {last['prefetch']:.0f}, fairness falls "
            f"from {first['jain_busy']:.2f} to {last['jain_busy']:.2f}"
        )
        right.plot(runs["prefetch"], runs["makespan_s"], marker=MARKERS[4], color=MAKESPAN)
        right.axhline(first["ideal_s"], linestyle="--", color=GREY)
        label(right, "ideal", first["prefetch"], first["ideal_s"], GREY, offset=(6, -14))
        label(right, "measured", first["prefetch"], first["makespan_s"], MAKESPAN, offset=(6, 10))
        right.set(ylabel="makespan (s)", ylim=(0, None))
        for axes in (left, right):
            _against_prefetch(axes, runs["prefetch"])
    return figure


def plot_rates(rates: pd.DataFrame) -> Figure:
    """Draw the throughput against the prefetch, one line for each distance from the broker.

    Args:
        rates: one row a run, from `consume_load`: delay_ms, prefetch, rate_msg_s.

    Returns:
        A figure with one axes.
    """
    with new_figure(1, 1) as (figure, (axes,)):
        factors: dict[float, float] = {}
        for number, (delay_ms, runs) in enumerate(rates.sort_values("prefetch").groupby("delay_ms")):
            color = RATES[number % len(RATES)]
            axes.plot(runs["prefetch"], runs["rate_msg_s"], marker=MARKERS[number + 1], color=color)
            first, second = runs.iloc[0], runs.iloc[min(1, len(runs) - 1)]
            label(axes, _distance(delay_ms), second["prefetch"], second["rate_msg_s"], color, offset=(9, -15))
            factors[float(str(delay_ms))] = runs["rate_msg_s"].max() / first["rate_msg_s"]
        near, far = min(factors), max(factors)
        axes.set_title(
            f"More prefetch makes the distant consumer {factors[far]:.0f} times as fast, "
            f"the near one {factors[near]:.1f} times"
        )
        axes.set(ylabel="throughput (messages/s)", ylim=(0, rates["rate_msg_s"].max() * 1.15))
        _against_prefetch(axes, rates["prefetch"])
    return figure


def plot_fairness_and_rate(
    sharing: pd.DataFrame, rates: pd.DataFrame, *, rule: Mapping[float, int]
) -> Figure:
    """Draw fairness and throughput together against the prefetch, with what a rule says.

    Args:
        sharing: one row a prefetch, from `Run.sharing`: prefetch, jain_busy.
        rates: one row a run, from `consume_load`: delay_ms, prefetch, rate_msg_s.
        rule: the prefetch that the rule gives for each delay_ms.

    Returns:
        A figure with one axes, from 0 to 1: fairness, and each delay's throughput as part of
        the most that it reached; and a vertical line for each delay's rule.
    """
    with new_figure(1, 1) as (figure, (axes,)):
        fair = sharing.sort_values("prefetch")
        axes.plot(fair["prefetch"], fair["jain_busy"], marker="o", color=FAIR)
        middle = fair.iloc[max(len(fair) - 2, 0)]
        label(axes, "fairness", middle["prefetch"], middle["jain_busy"], FAIR, offset=(8, 8))
        for number, (delay_ms, runs) in enumerate(rates.sort_values("prefetch").groupby("delay_ms")):
            color, marker = RATES[number % len(RATES)], MARKERS[number + 1]
            share = runs["rate_msg_s"] / runs["rate_msg_s"].max()
            axes.plot(runs["prefetch"], share, marker=marker, color=color)
            second = min(1, len(runs) - 1)
            at, value = runs["prefetch"].iloc[second], share.iloc[second]
            label(axes, _distance(delay_ms), at, value, color, offset=(9, -15))
            prefetch = rule[float(str(delay_ms))]
            axes.axvline(prefetch, linestyle=":", color=color)
            label(axes, f"rule: {prefetch}", prefetch, 0.62, color, offset=(4, 0))
        axes.set_title(_window(fair, rates, max(rule.values())))
        axes.set(ylabel="fairness; part of top throughput", ylim=(0, 1.08))
        _against_prefetch(axes, fair["prefetch"])
    return figure


def _against_prefetch(axes: Axes, values: pd.Series) -> None:
    shown = sorted(set(values))
    axes.set(xscale="log", xlabel="prefetch")
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.set_xticks([], minor=True)


def _distance(delay_ms: object) -> str:
    return "on loopback" if float(str(delay_ms)) == 0 else f"{delay_ms:g} ms away"


def _window(fair: pd.DataFrame, rates: pd.DataFrame, rule: int) -> str:
    """Return what the smallest measured prefetch that is enough by the rule gives."""
    far = rates[rates["delay_ms"] == rates["delay_ms"].max()]
    enough = min([value for value in fair["prefetch"] if value >= rule], default=int(fair["prefetch"].max()))
    share = far.loc[far["prefetch"] == enough, "rate_msg_s"].max() / far["rate_msg_s"].max()
    fairness = fair.loc[fair["prefetch"] == enough, "jain_busy"].iloc[0]
    return f"Prefetch {enough} gives {share:.0%} of the throughput, and a fairness of {fairness:.2f}"
