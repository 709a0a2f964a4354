"""How long tasks of high and of normal priority wait, in runs of several designs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rmqlab.engine import Task
from rmqlab.experiments._result import Result
from rmqlab.experiments.workload import Workload
from rmqlab.figures import COLORS, MEASURED, label, name_rows, new_figure

HIGH, NORMAL = "high", "normal"
HIGH_COLOR = COLORS[1]
SHORTEST_MS = 0.5  # where a wait is drawn that is shorter still
FLAT = 1.5  # waits of which one is less than so many times the other are about equal


def compare_waits(runs: Result, workload: Workload, is_high: Callable[[Task], bool]) -> Result:
    """Compare how long tasks of high and of normal priority waited for their work to begin.

    A task that comes in a busy hour waits longer, whatever its priority. So each task of high
    priority is matched with the normal task that was published last before it.

    Args:
        runs: runs of the workload, from `run_workload` with `by="design"`.
        workload: what all of them did.
        is_high: returns True if a task is of high priority.

    Returns:
        One row a design: design, high_ms (median wait of tasks of high priority),
        matched_normal_ms (of the normal tasks matched with them), normal_ms (of all normal tasks),
        normal_p95_ms (95 of 100 normal tasks wait no longer), makespan_s.

        `waits` has a row a task and design: design, message (its number), priority (`high` or
        `normal`), published_s and settled_s (from the workers' beginning), until_work_ms
        (from its publishing, or from the workers' beginning if that is later, until it was settled,
        less the time of its work), matched_normal_ms (of a task of high priority).

        Its figure shows the medians by design; `day` shows the waits over time.
    """
    tasks = runs.frame("tasks")
    is_high_task = [is_high(job.task) for job in workload]
    high = tasks["message"].map(lambda message: is_high_task[message]).astype(bool)
    begun_s = tasks["settled_s"] - tasks["duration_s"]
    until_work_ms = (begun_s - tasks["published_s"].clip(lower=0)) * 1000
    waits = tasks[["design", "message", "published_s", "settled_s"]].assign(
        priority=np.where(high, HIGH, NORMAL),
        until_work_ms=until_work_ms,
        # Messages are in the order of their publishing: fill from the last normal one.
        matched_normal_ms=until_work_ms.where(~high).groupby(tasks["design"]).ffill().where(high),
    )
    rows = pd.DataFrame([_compare(design, tasks) for design, tasks in waits.groupby("design", sort=False)])
    return Result(
        rows,
        plot_waits_by_design,
        runs.provenance,
        {"waits": waits},
        {"day": lambda result: plot_waits_over_day(result.frame("waits"))},
        {
            name: replace(scene, special=np.flatnonzero(is_high_task).tolist(), special_words="high priority")
            for name, scene in runs.scenes.items()
        },
    )


def _compare(design: object, waits: pd.DataFrame) -> dict[str, object]:
    normal_ms = waits.loc[waits["priority"] == NORMAL, "until_work_ms"]
    return {
        "design": design,
        "high_ms": waits.loc[waits["priority"] == HIGH, "until_work_ms"].median(),
        "matched_normal_ms": waits["matched_normal_ms"].median(),
        "normal_ms": normal_ms.median(),
        "normal_p95_ms": normal_ms.quantile(0.95),
        "makespan_s": waits["settled_s"].max(),
    }


def plot_waits_over_day(waits: pd.DataFrame) -> Figure:
    """Draw how long each task waited against when it was published, for one design."""
    is_high = waits["priority"] == "high"
    high, normal = waits[is_high], waits[~is_high]
    with new_figure(1, 1) as (figure, (axes,)):
        axes.plot(normal["published_s"], normal["until_work_ms"], "o", color=MEASURED, ms=4, label="normal")
        axes.plot(
            high["published_s"], high["until_work_ms"], "D", color=HIGH_COLOR, ms=4, label="high-priority"
        )
        axes.set(xlabel="published at (s)", ylabel="wait (ms)", ylim=(0, None))
        axes.set_title(_verdict(high["until_work_ms"].median(), high["matched_normal_ms"].median()))
        axes.legend(loc="upper left")
    return figure


def plot_waits_by_design(rows: pd.DataFrame) -> Figure:
    """Draw the median wait in each design, of high-priority tasks and of those beside them."""
    with new_figure(1, 1, height_in=0.9 + 0.7 * len(rows)) as (figure, (axes,)):
        for y, (high_ms, normal_ms) in enumerate(
            zip(rows["high_ms"], rows["matched_normal_ms"], strict=True)
        ):
            high_at, normal_at = max(high_ms, SHORTEST_MS), max(normal_ms, SHORTEST_MS)
            axes.plot([high_at, normal_at], [y, y], "-", color="0.8", lw=2, zorder=1)
            axes.plot(normal_at, y, "o", color=MEASURED, ms=11)
            axes.plot(high_at, y, "D", color=HIGH_COLOR, ms=7)
            label(axes, f"{high_ms:,.0f} ms", high_at, y, HIGH_COLOR, offset=(-9, -4))
            label(axes, f"{normal_ms:,.0f} ms", normal_at, y, MEASURED, offset=(10, -4))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlabel("median wait (ms)")
        axes.margins(x=0.2)
        name_rows(axes, list(rows["design"]))
        least = rows["design"].iloc[int(rows["high_ms"].argmin())]
        axes.set_title(f"High-priority tasks (◆) wait least in the {least}; ● are their neighbors")
    return figure


def _verdict(high_ms: float, normal_ms: float) -> str:
    if normal_ms > FLAT * high_ms:
        return "High-priority tasks wait less than normal ones of the same moment"
    if high_ms > FLAT * normal_ms:
        return "High-priority tasks wait longer than normal ones of the same moment"
    return "High-priority tasks wait as long as normal ones of the same moment"
