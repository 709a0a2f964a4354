"""How long tasks of high and of normal priority wait, in runs of several designs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from rmqlab.engine import Task
from rmqlab.experiments._workers_frames import Run

HIGH, NORMAL = "high", "normal"


def waits_by_priority(runs: Mapping[str, Run], is_high: Callable[[Task], bool]) -> pd.DataFrame:
    """Show how long each task waited for its work to begin, and which are to be compared.

    A task that comes in a busy hour waits longer, whatever its priority. So each task of high
    priority has a neighbor to be compared with: the normal task published last before it.

    Args:
        runs: runs of workloads, by the name of their design.
        is_high: says whether a task is of high priority.

    Returns:
        One row a task and design: design, message (its number), priority (`high` or
        `normal`), worker, published_s and settled_s (from the workers' beginning), wait_ms
        (from its publishing, or from the workers' beginning if that is later, until it was
        settled, less the time of its work: in the queue, or prefetched in a worker's hands),
        matched_normal_ms (of a task of high priority, the wait of its neighbor).
    """
    return pd.concat([_waits(design, run, is_high) for design, run in runs.items()], ignore_index=True)


def _waits(design: str, run: Run, is_high: Callable[[Task], bool]) -> pd.DataFrame:
    tasks = run.tasks()
    work_s = np.array([job.duration_s for job in run.workload])
    high = np.array([is_high(job.task) for job in run.workload], dtype=bool)
    wait_ms = (tasks["settled_s"] - tasks["published_s"].clip(lower=0) - work_s) * 1000
    frame = tasks[["message", "worker", "published_s", "settled_s"]].assign(
        priority=np.where(high, HIGH, NORMAL),
        wait_ms=wait_ms,
        # Messages are in the order of their publishing: fill from the last normal one.
        matched_normal_ms=wait_ms.where(~high).ffill().where(high),
    )
    frame.insert(0, "design", design)
    return frame


def compare_waits(waits: pd.DataFrame) -> pd.DataFrame:
    """Show the designs side by side.

    Args:
        waits: one row a task and design, from `waits_by_priority`.

    Returns:
        One row a design, in their order: design, high_ms (median wait of tasks of high
        priority), matched_normal_ms (of their normal neighbors), normal_ms (of all normal tasks),
        normal_p95_ms (what 95 of 100 normal tasks wait at most), makespan_s.
    """
    rows = []
    for design, tasks in waits.groupby("design", sort=False):
        normal_ms = tasks.loc[tasks["priority"] == NORMAL, "wait_ms"]
        rows.append(
            {
                "design": design,
                "high_ms": tasks.loc[tasks["priority"] == HIGH, "wait_ms"].median(),
                "matched_normal_ms": tasks["matched_normal_ms"].median(),
                "normal_ms": normal_ms.median(),
                "normal_p95_ms": normal_ms.quantile(0.95),
                "makespan_s": tasks["settled_s"].max(),
            }
        )
    return pd.DataFrame(rows)
