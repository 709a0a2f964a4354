"""How events reach subscribers: who gets which, who falls behind, and what one more costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, MARKERS, label, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

AT_ONCE, KEPT, MISSED = COLORS[0], COLORS[2], COLORS[1]


def plot_attendance(events: pd.DataFrame) -> Figure:
    """Draw which events each subscriber received, and which it missed.

    Args:
        events: one row a subscriber and event, from `Broadcast.events`: subscriber, event,
            away, deliveries.

    Returns:
        A figure with one axes: a row for each subscriber, a mark for each event.
    """
    names = list(events["subscriber"].unique())
    kinds = (
        ("received at once", AT_ONCE, (events["deliveries"] > 0) & ~events["away"]),
        ("kept for it, received later", KEPT, (events["deliveries"] > 0) & events["away"]),
        ("missed", MISSED, events["deliveries"] == 0),
    )
    last = int(events["event"].max())
    with new_figure(1, 1) as (figure, (axes,)):
        for (words, color, which), marker in zip(kinds, "|o" + "x", strict=True):
            marks = events[which]
            rows = [names.index(name) for name in marks["subscriber"]]
            axes.plot(marks["event"], rows, marker, color=color, markersize=5, label=words)
        for row, name in enumerate(names):
            received = int((events.loc[events["subscriber"] == name, "deliveries"] > 0).sum())
            axes.annotate(
                f"{received} received", (last, row), (10, 0), textcoords="offset points", va="center"
            )
        axes.set(xlabel="event, in the order of publishing", ylim=(len(names) - 0.5, -0.5))
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False)
        axes.set_title(_attendance_title(events))
        figure.legend(loc="outside lower center", ncols=len(kinds))
    return figure


def plot_backlog(backlog: pd.DataFrame, events: pd.DataFrame) -> Figure:
    """Draw how many events wait for each subscriber, and how long each event took to reach it.

    Args:
        backlog: one row a change, from `Broadcast.backlog`: subscriber, time_s, backlog.
        events: one row a subscriber and event, from `Broadcast.events`: subscriber,
            published_s, latency_ms.

    Returns:
        A figure with two axes: backlog over time on the left, latency on the right, from
        1 ms or less up to seconds.
    """
    with new_figure(1, 2) as (figure, (left, right)):
        peaks = backlog.groupby("subscriber", sort=False)["backlog"].max()
        for place, name in enumerate(peaks.index):
            color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
            mine = backlog[backlog["subscriber"] == name]
            left.step(mine["time_s"], mine["backlog"], where="post", color=color)
            received = events[events["subscriber"] == name].dropna(subset=["latency_ms"])
            right.plot(
                received["published_s"], received["latency_ms"], marker, color=color, markersize=3, label=name
            )
        slowest = str(peaks.idxmax())
        peak = backlog[backlog["subscriber"] == slowest].nlargest(1, "backlog").iloc[0]
        label(
            left,
            f"{slowest}: {peak['backlog']:.0f}",
            float(peak["time_s"]),
            float(peak["backlog"]),
            COLORS[list(peaks.index).index(slowest) % len(COLORS)],
            offset=(8, 4),
        )
        left.set(xlabel="time (s)", ylabel="events not handled yet", ylim=(0, peaks.max() * 1.15 + 1))
        left.set_title(_backlog_title(peaks))
        right.set(xlabel="published at (s)", ylabel="publishing to delivery (ms)", yscale="log")
        right.yaxis.set_major_formatter("{x:g}")
        figure.legend(loc="outside lower center", ncols=len(peaks), markerscale=2)
    return figure


def plot_spread(runs: pd.DataFrame) -> Figure:
    """Draw how long an event takes to reach its first and its last subscriber.

    Args:
        runs: one row a run, from `run_grid` over `Broadcast.summary`: subscribers, first_ms,
            last_ms; repeats are drawn as the range between them.

    Returns:
        A figure with one axes: milliseconds against the number of subscribers.
    """
    by_count = runs.groupby("subscribers")[["last_ms", "first_ms"]]
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
        axes.set_xticks(counts)
        axes.set_xticks([], minor=True)
        first, last = median["last_ms"].iloc[0], median["last_ms"].iloc[-1]
        axes.set_title(
            f"The last of {counts[-1]} subscribers hears of an event after {last:.1f} ms, "
            f"{'a single one' if counts[0] == 1 else f'the last of {counts[0]}'} after {first:.1f} ms"
        )
    return figure


def _attendance_title(events: pd.DataFrame) -> str:
    missed = int((events["deliveries"] == 0).sum())
    kept = int(((events["deliveries"] > 0) & events["away"]).sum())
    return f"Published while they were away: {kept} events kept, {missed} missed"


def _backlog_title(peaks: pd.Series) -> str:
    slowest = peaks.idxmax()
    others = int(peaks.drop(slowest).max()) if len(peaks) > 1 else 0
    return f"Up to {peaks.max()} events wait for {slowest}, up to {others} for others"
