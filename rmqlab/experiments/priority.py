"""How long tasks of high and of normal priority wait, in runs of several designs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from rmqlab.engine import Task
from rmqlab.experiments._result import Result
from rmqlab.experiments.priority_figures import plot_waits_by_design, plot_waits_over_day
from rmqlab.experiments.workload import Workload

HIGH, NORMAL = "high", "normal"


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
        `normal`), worker, published_s and settled_s (from the workers' beginning), until_work_ms
        (from its publishing, or from the workers' beginning if that is later, until it was settled,
        less the time of its work), matched_normal_ms (of a task of high priority).

        Its figure shows the medians by design; `day` shows the waits over time.
    """
    tasks = runs.frame("tasks")
    is_high_task = [is_high(job.task) for job in workload]
    high = tasks["message"].map(lambda message: is_high_task[message]).astype(bool)
    begun_s = tasks["settled_s"] - tasks["duration_s"]
    until_work_ms = (begun_s - tasks["published_s"].clip(lower=0)) * 1000
    waits = tasks[["design", "message", "worker", "published_s", "settled_s"]].assign(
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
