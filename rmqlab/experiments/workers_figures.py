"""How workers do: makespan, the depth of the queue, how they share the work, and the outcome of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import PercentFormatter

from rmqlab.figures import COLORS, GREY, MARKERS, MEASURED, label, name_rows, name_ticks, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEADROOM = 1.2  # for the legend, over the highest point
LANE_IN = 0.3
FRAME_IN = 0.6  # an axes' title, and what is around it
FOOT_IN = 0.4
FAIR, IDLE, MAKESPAN = COLORS[2], COLORS[3], COLORS[4]
DONE, AGAIN, LOST = "0.82", COLORS[0], COLORS[1]
DARK = "0.2"


def plot_speedup(rows: pd.DataFrame) -> Figure:
    """Draw makespan and efficiency against the number of workers, beside the ideal lines."""
    runs = rows.sort_values("workers").assign(all=1.0)
    first, last = runs.iloc[0], runs.iloc[-1]
    with new_figure(1, 2) as (figure, (left, right)):
        for axes, measured, ideal in ((left, "makespan_s", "ideal_s"), (right, "efficiency", "all")):
            axes.plot(runs["workers"], runs[ideal], "--", color=GREY, label="ideal")
            axes.plot(runs["workers"], runs[measured], marker="o", color=MEASURED, label="measured")
            axes.set(xlabel="workers", ylim=(0, runs[[measured, ideal]].to_numpy().max() * HEADROOM))
            name_ticks(axes, runs["workers"], scale="linear")
        left.set(ylabel="makespan (s)")
        left.set_title(
            f"{last['workers'] / first['workers']:.0f} times the workers: "
            f"{first['makespan_s'] / last['makespan_s']:.1f} times as fast"
        )
        right.set(ylabel="efficiency", title=f"{last['efficiency']:.0%} of the ideal at the end")
        right.yaxis.set_major_formatter(PercentFormatter(1))
        left.legend()
    return figure


def plot_depth(depth: pd.DataFrame, *, last_s: float) -> Figure:
    """Draw how many tasks wait over time, a line for each number of workers, and the last arrival."""
    with new_figure(1, 1) as (figure, (axes,)):
        peaks: list[str] = []
        for number, (workers, run) in enumerate(depth.groupby("workers")):
            marker, color = MARKERS[number % len(MARKERS)], COLORS[number % len(COLORS)]
            axes.step(run["time_s"], run["ready"], where="post", color=color)
            peak = run.iloc[run["ready"].argmax()]
            who, most = f"{workers} worker{'s' if workers != 1 else ''}", f"{peak['ready']:.0f}"
            # Over all lines.
            axes.plot(peak["time_s"], peak["ready"], marker, color=color, label=f"{who}: {most}", zorder=3)
            peaks.append(f"{most} tasks wait for {who}" if not peaks else f"{most} for {who}")
        axes.set(xlabel="time (s)", ylabel="tasks in the queue")
        axes.set_title(f"Up to {', up to '.join([peaks[0], peaks[-1]])}")
        axes.set_ylim(0, depth["ready"].max() * HEADROOM + 1)
        axes.legend(title="the most that wait")
        axes.axvline(last_s, linestyle=":", color=GREY)
        label(axes, "last arrival", last_s, depth["ready"].max(), GREY, offset=(5, 8))
    return figure


def plot_gantt(deliveries: pd.DataFrame, *, by: str) -> Figure:
    """Draw what each consumer worked on over time, with axes of its own for each value of `by`."""
    cases = list(deliveries.groupby(by, sort=False))
    lanes = sorted(set(deliveries["consumer"]), key=lambda name: (len(name), name))  # 9 before 10
    height_in = (LANE_IN * len(lanes) + FRAME_IN) * len(cases) + FOOT_IN
    with new_figure(len(cases), 1, height_in=height_in, share_x=True) as (figure, grid):
        for axes, (case, rows) in zip(grid, cases, strict=True):
            bars, start_s = rows[rows["settled_s"].notna()], rows["delivered_s"].min()
            # A white edge shows where one task ends and the next one begins.
            axes.barh(
                bars["consumer"].map(lanes.index),
                bars["settled_s"] - bars["begun_s"],
                left=bars["begun_s"] - start_s,
                color=MEASURED,
                edgecolor="white",
                linewidth=0.4,
            )
            name_rows(axes, lanes)
            axes.tick_params(axis="y", length=0)
            name = "no limit" if (by, case) == ("prefetch", 0) else f"{by} {case}"
            axes.set_title(f"{name}: done after {rows['settled_s'].max() - start_s:.2g} s")
        grid[-1].set_xlabel("time from the first delivery (s)")
        figure.supylabel("consumer", fontsize=11)
    return figure


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
            name_ticks(axes, runs["prefetch"])
            axes.set_xlabel("prefetch")
            axes.axvline(dealt_out, linestyle=":", color=GREY)
        label(left, f"{first['workers']:.0f} x {dealt_out:g} = all", dealt_out, 0.05, GREY, offset=(-5, 0))
    return figure


def plot_outcomes(tasks: pd.DataFrame, *, by: str) -> Figure:
    """Draw each run as a band and each task as a stroke: done, delivered again, or lost."""
    with new_figure(1, 1) as (figure, (axes,)):
        names, parts = [], []
        for row, (name, run) in enumerate(tasks.groupby(by, sort=False)):
            names.append(str(name))
            is_done = run["outcome"] == "acked"
            outcomes = {
                "done": (is_done, DONE, DARK, 1.0),
                "delivered again": (is_done & (run["deliveries"] > 1), AGAIN, AGAIN, 2.0),
                "lost": (~is_done, LOST, LOST, 1.2),
            }
            for place, (outcome, (which, color, text_color, width)) in enumerate(outcomes.items()):
                axes.vlines(run.loc[which, "message"], row - 0.3, row + 0.3, color=color, linewidth=width)
                text = f"{outcome}: {which.sum()}"
                axes.text(place * len(run) * 0.28, row - 0.38, text, color=text_color, va="bottom")
            lost = len(run) - is_done.sum()
            parts.append(f"{name} loses {lost}" if lost else f"{name} none")
        name_rows(axes, names)
        axes.grid(visible=False)
        axes.set(xlabel="task, in the order of publishing", ylabel="acknowledgement", ylim=(row + 0.5, -0.75))
        axes.set_title(f"One worker crashes: {', '.join(parts)}")
    return figure


def plot_poison(tasks: pd.DataFrame, *, by: str) -> Figure:
    """Draw good tasks done over time, and how often those were delivered that were never acknowledged."""
    with new_figure(1, 2) as (figure, (left, right)):
        good: dict[str, int] = {}
        failures: dict[str, int] = {}
        for row, (case, run) in enumerate(tasks.groupby(by, sort=False)):
            name, color, marker = str(case), COLORS[row % len(COLORS)], MARKERS[row % len(MARKERS)]
            is_done = run["outcome"] == "acked"
            good[name], failures[name] = int(is_done.sum()), int(run.loc[~is_done, "deliveries"].sum())
            times_s = [0.0, *run.loc[is_done, "settled_s"].sort_values(), run["settled_s"].max()]
            counts = [*range(good[name] + 1), good[name]]
            left.step(times_s, counts, where="post", color=color)
            left.plot(times_s[-1], good[name], marker, color=color, label=name)
            right.plot(failures[name], row, marker, color=color, ms=9)
            label(right, f"{failures[name]:,}", failures[name], row, color, offset=(9, -4))
        worst, most = min(good, key=good.__getitem__), max(good.values())
        left.set(xlabel="time (s)", ylabel="good tasks done", ylim=(0, most * 1.5), xlim=(0, None))
        left.set_title(f"{worst}: {good[worst]} of {most} good tasks")
        left.legend(loc="upper left")
        right.set(xlabel="failed deliveries", xscale="log", xlim=(1, max(failures.values()) * 12))
        right.xaxis.set_major_formatter("{x:,g}")
        name_rows(right, list(failures))
        right.set_title(f"{failures[worst]:,} failures instead of {min(failures.values())}")
    return figure
