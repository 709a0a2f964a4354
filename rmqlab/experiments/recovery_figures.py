"""What a broken broker does to messages over time, and how soon clients are back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmqlab.figures import COLORS, GREY, MARKERS, label, name_rows, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rmqlab.experiments._result import Result

LINES = {"published": (COLORS[0], 4.0), "confirmed": (COLORS[4], 2.2), "received": (COLORS[2], 1.2)}
MARKS = {"lost": ("v", COLORS[1]), "cancelled": ("X", COLORS[3]), "recovered": ("^", COLORS[2])}
SHADE = "0.88"
SHORTEST_S = 0.01  # what is drawn of times that are shorter still
STEADY_PERCENTILE = 75


def plot_outages(result: Result) -> Figure:
    """Draw rates over time, with what was broken shaded, and below them the events of connections."""
    throughput, faults = result.frame("throughput"), result.frame("outages").to_dict("records")
    with new_figure(2, 1, height_in=4.6, share_x=True) as (figure, (rates, marks)):
        if grid := rates.get_gridspec():
            grid.set_height_ratios([4, 1])
        for name, (color, width) in LINES.items():
            line = throughput[throughput["event"] == name]
            rates.step(line["time_s"], line["rate_msg_s"], where="post", color=color, lw=width, label=name)
        shown = throughput[throughput["event"].isin(LINES)]
        highest = shown.iloc[shown["rate_msg_s"].argmax()]
        # What had waited comes at once when an outage is over: its peak is cut where it would
        # press everything else flat.
        steady = max(float(np.percentile(shown["rate_msg_s"], STEADY_PERCENTILE)), 1.0)
        top = 1.3 * min(highest["rate_msg_s"], 4 * steady)
        rates.set(ylabel="messages per second", ylim=(0, top))
        if highest["rate_msg_s"] > top:
            text, color = f"▲ {highest['rate_msg_s']:,.0f}", LINES[highest["event"]][0]
            label(rates, text, highest["time_s"], 0.87 * top, color, offset=(12, 0))
        for each in faults:
            for axes in (rates, marks):
                if each["up_s"] > each["down_s"]:
                    axes.axvspan(each["down_s"], each["up_s"], color=SHADE, zorder=0, lw=0)
                else:
                    axes.axvline(each["down_s"], color=GREY, lw=1, ls="--", zorder=0)
            middle_s = (each["down_s"] + each["up_s"]) / 2
            of_height = rates.get_xaxis_transform()
            rates.text(middle_s, 0.98, each["fault"], ha="center", va="top", color="0.3", transform=of_height)
        # In the longest outage there is nothing that a legend could cover.
        widest = max(faults, key=lambda each: each["up_s"] - each["down_s"])
        center_s = (widest["down_s"] + widest["up_s"]) / 2
        rates.legend(loc="center", bbox_to_anchor=(center_s, 0.5), bbox_transform=rates.get_xaxis_transform())
        _mark_events(marks, result.frame("events"))
        worst = max(faults, key=lambda each: each["silent_s"])
        rates.set_title(
            f"{len(faults)} faults; the longest silence is {worst['silent_s']:.1f} s ({worst['fault']})"
        )
    return figure


def _mark_events(axes: Axes, events: pd.DataFrame) -> None:
    shown = [name for name in MARKS if (events["event"] == name).any()]
    for row, name in enumerate(shown):
        marker, color = MARKS[name]
        times_s = events.loc[events["event"] == name, "time_s"]
        axes.plot(times_s, np.full(len(times_s), row), marker, color=color, ms=6, mfc="none", ls="none")
    name_rows(axes, shown)
    axes.set_xlabel("time (s)")


def plot_recoveries(rows: pd.DataFrame) -> Figure:
    """Draw what part of the clients was back by a time, as a distribution for each fault."""
    with new_figure(1, 1) as (figure, (axes,)):
        parts = []
        for number, (fault, found) in enumerate(rows.groupby("fault", sort=False)):
            color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
            times_s = np.sort(found["recover_s"].dropna().to_numpy()).clip(SHORTEST_S)
            if not len(times_s):
                continue
            share = np.arange(1, len(times_s) + 1) / len(times_s)
            axes.step(times_s, share, where="post", color=color)
            axes.plot(times_s, share, marker, color=color, ms=4, mfc="none", ls="none")
            # A distribution climbs from left to right: above it on the left, and below it on the
            # right, there is room.
            place = (len(times_s) - 1) * (1 if number else 3) // 4
            faults = found["number"].nunique()
            text = f"{fault}: {len(times_s)} losses\nin {faults} {'faults' if faults > 1 else 'fault'}"
            offset = (10, -36) if number else (-12, 0)
            label(axes, text, times_s[place], share[place], color, offset=offset)
            parts.append(f"{_time(float(np.median(times_s)))} ({fault})")
        axes.set(xscale="log", xlabel="time to recover (s)", ylabel="clients that are back", ylim=(0, 1.03))
        axes.margins(x=0.06)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.set_title(f"Half are back after {', '.join(parts)}")
    return figure


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
