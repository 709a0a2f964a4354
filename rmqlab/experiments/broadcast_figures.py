"""How events reach subscribers: who gets which, who falls behind, and what one more costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, MARKERS, label, name_rows, name_ticks, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from rmqlab.experiments._result import Result

AT_ONCE, KEPT, MISSED = COLORS[0], COLORS[2], COLORS[1]


def plot_attendance(rows: pd.DataFrame) -> Figure:
    """Draw which events each subscriber of a run received, and which it missed."""
    names = list(rows["subscriber"].unique())
    is_received = rows["deliveries"] > 0
    kinds = (
        ("received at once", 11, AT_ONCE, is_received & ~rows["away"]),
        ("kept for it, received later", 5, KEPT, is_received & rows["away"]),
        ("missed", 1.5, MISSED, ~is_received),
    )
    with new_figure(1, 1) as (figure, (axes,)):
        for words, width, color, which in kinds:
            lanes = [names.index(name) for name in rows.loc[which, "subscriber"]]
            at = rows.loc[which, "event"]
            axes.hlines(lanes, at - 0.5, at + 0.5, color=color, linewidth=width, label=words)
        counts = is_received.groupby(rows["subscriber"]).sum()
        last = int(rows["event"].max())
        for lane, name in enumerate(names):
            text = f"{counts[name]} received"
            axes.annotate(text, (last, lane), (10, 0), textcoords="offset points", va="center")
        name_rows(axes, names)
        axes.set_xlabel("event, in the order of publishing")
        axes.grid(visible=False)
        kept, missed = kinds[1][3].sum(), kinds[2][3].sum()
        axes.set_title(f"Published while they were away: {kept} events kept, {missed} missed")
        figure.legend(loc="outside lower center", ncols=len(kinds))
    return figure


def plot_backlog(result: Result) -> Figure:
    """Draw how many events wait for each subscriber, and how long each event took to reach it."""
    backlog, events = result.frame("backlog"), result.rows
    peaks = backlog.groupby("subscriber")["backlog"].max().reindex(events["subscriber"].unique()).dropna()
    slowest = str(peaks.idxmax())
    with new_figure(1, 2) as (figure, (left, right)):
        for place, name in enumerate(peaks.index):
            color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
            mine = backlog[backlog["subscriber"] == name]
            width = max(4 - 1.5 * place, 1)  # where two are equal, the earlier one shows around the later one
            left.step(mine["time_s"], mine["backlog"], where="post", color=color, linewidth=width)
            if name == slowest:
                at_s = float(mine.loc[mine["backlog"].idxmax(), "time_s"])
                label(left, f"{name}: {peaks[name]:.0f}", at_s, peaks[name], color, offset=(8, 4))
            got = events[events["subscriber"] == name]
            style = {"color": color, "markersize": max(7 - 2 * place, 3), "label": name}
            right.plot(got["published_s"], got["latency_ms"], marker, **style)
        others = peaks.drop(slowest).max() if len(peaks) > 1 else 0
        left.set(xlabel="time (s)", ylabel="events not handled yet", ylim=(0, peaks.max() * 1.15 + 1))
        left.set_title(f"Up to {peaks.max():.0f} events wait for {slowest}, up to {others:.0f} for others")
        right.set(xlabel="published at (s)", ylabel="publishing to delivery (ms)", yscale="log")
        right.yaxis.set_major_formatter("{x:g}")
        figure.legend(loc="outside lower center", ncols=len(peaks))
    return figure


def plot_spread(result: Result) -> Figure:
    """Draw how long an event takes to reach its first and its last subscriber, and the repeats' range."""
    by_count = result.frame("runs").groupby("subscribers")[["last_ms", "first_ms"]]
    median, low, high = by_count.median(), by_count.min(), by_count.max()
    counts = [int(str(count)) for count in median.index]
    lines = (
        ("last_ms", "to the last subscriber", COLORS[1], "s"),
        ("first_ms", "to the first", COLORS[0], "o"),
    )
    with new_figure(1, 1) as (figure, (axes,)):
        for column, words, color, marker in lines:
            axes.fill_between(counts, low[column], high[column], color=color, alpha=0.2, linewidth=0)
            axes.plot(counts, median[column], marker=marker, color=color)
            label(axes, words, counts[-1], float(median[column].iloc[-1]), color, offset=(-12, 6))
        axes.set(xlabel="subscribers", ylabel="publishing to delivery, median (ms)", ylim=(0, None))
        name_ticks(axes, counts, scale="linear")
        first, last = median["last_ms"].iloc[[0, -1]]
        axes.set_title(
            f"The last of {counts[-1]} subscribers hears of an event after {last:.1f} ms, "
            f"{'a single one' if counts[0] == 1 else f'the last of {counts[0]}'} after {first:.1f} ms"
        )
    return figure
