"""The frames of runs of a workload, from their ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from rmqlab.experiments._result import Result
from rmqlab.experiments.acknowledgement_figures import plot_outcomes, plot_poison
from rmqlab.experiments.prefetch_figures import plot_sharing
from rmqlab.experiments.workers_figures import plot_depth, plot_gantt, plot_speedup
from rmqlab.experiments.workload import Workload
from rmqlab.measure import Ledger, Report
from rmqlab.measure._report import NS_PER_S, OUTCOME_WORDS
from rmqlab.measure._snapshots import REQUEUED

COUNTS = ("published", "received", "acked", "rejected", "redelivered")


@dataclass(slots=True)
class Run:
    """One run, as it was recorded.

    Attributes:
        workload: the tasks; number i is message i of the ledger.
        workers: how many workers there were.
        prefetch: how many unacknowledged messages each had at most; 0 is no limit.
        ledger: what happened.
        started_ns: when the workers began, by the ledger's clock.
        replayed_ns: when the replay of arrivals began; None without one.
        busy_core_s: how long the machine's cores were busy during the run, in core-seconds.
    """

    workload: Workload
    workers: int
    prefetch: int
    ledger: Ledger = field(default_factory=Ledger)
    started_ns: int = 0
    replayed_ns: int | None = None
    busy_core_s: float = float("nan")


def result_of(runs: Mapping[Any, Run], by: str | None, provenance: Mapping[str, Any]) -> Result:
    """Return runs by name side by side, as `run_workload` describes it; `by` has the names, if any."""
    reports = {name: Report.of(run.ledger) for name, run in runs.items()}
    tasks = {name: _tasks(run) for name, run in runs.items()}
    details = {
        "tasks": tasks,
        "depth": {name: _depth(run) for name, run in runs.items()},
        "deliveries": {name: report.deliveries() for name, report in reports.items()},
        "workers": {name: _workers(report) for name, report in reports.items()},
    }
    rows = {name: pd.DataFrame([_row(run, tasks[name], reports[name])]) for name, run in runs.items()}
    return Result(
        _side_by_side(rows, by),
        plot_speedup,
        provenance,
        {name: _side_by_side(frames, by) for name, frames in details.items()},
        {
            "depth": lambda result: plot_depth(result.details["depth"]),
            "gantt": lambda result: plot_gantt(result.details["deliveries"], by=by),
            "sharing": lambda result: plot_sharing(result.rows),
            "outcomes": lambda result: plot_outcomes(result.details["tasks"], by=by),
            "poison": lambda result: plot_poison(result.details["tasks"], by=by),
        },
        {str(name): run.ledger for name, run in runs.items()},
    )


def _side_by_side(frames: Mapping[Any, pd.DataFrame], by: str | None) -> pd.DataFrame:
    for name, frame in frames.items():
        if by and by not in frame:
            frame.insert(0, by, name)
    return pd.concat(frames.values(), ignore_index=True)


def _row(run: Run, tasks: pd.DataFrame, report: Report) -> dict[str, Any]:
    totals, fairness = run.ledger.totals(), report.fairness().iloc[0]
    makespan_s = float(tasks[["published_s", "delivered_s", "settled_s"]].max().max())
    ideal_s = run.workload.work_s / run.workers
    return {
        "workers": run.workers,
        "prefetch": run.prefetch,
        **{name: getattr(totals, name) for name in COUNTS},
        "work_s": run.workload.work_s,
        "makespan_s": makespan_s,
        "ideal_s": ideal_s,
        "rate_msg_s": totals.acked / makespan_s,
        "efficiency": ideal_s / makespan_s,
        "overhead_ms": (makespan_s - ideal_s) * run.workers / len(run.workload) * 1000,
        "busy_core_s": run.busy_core_s,
        "lag_p99_ms": tasks["lag_ms"].quantile(0.99),
        "jain": fairness["jain"],
        "jain_busy": fairness["jain_busy"],
        "idle_share": 1 - fairness["mean_utilization"],
    }


def _tasks(run: Run) -> pd.DataFrame:
    account, jobs = run.ledger.account(), run.workload.jobs
    seen = pd.DataFrame(account.messages).set_index("number").reindex(range(len(jobs)), fill_value=0)
    names = np.array([*account.consumers, None], dtype=object)  # of place -1: nobody
    since_ns = float("nan") if run.replayed_ns is None else run.replayed_ns - run.started_ns
    times_ns = seen[["published_ns", "delivered_ns", "settled_ns"]]
    times_s = (times_ns.where(times_ns > 0) - run.started_ns) / NS_PER_S
    tasks = pd.DataFrame(
        {
            "engine_id": [job.task.engine_id for job in jobs],
            "workers": run.workers,
            "worker": names[seen["consumer"].where(seen["deliveries"] > 0, -1)],
            "due_s": [since_ns / NS_PER_S + job.arrival_s for job in jobs],
            "published_s": times_s["published_ns"],
            "delivered_s": times_s["delivered_ns"],
            "settled_s": times_s["settled_ns"],
            "outcome": OUTCOME_WORDS[seen["outcome"]],
            "deliveries": seen["deliveries"].astype(np.int64),
        }
    )
    tasks["lag_ms"] = (tasks["published_s"] - tasks["due_s"]) * 1000
    tasks["wait_ms"] = (tasks["delivered_s"] - tasks["published_s"].clip(lower=0)) * 1000
    tasks["work_ms"] = (tasks["settled_s"] - tasks["delivered_s"]) * 1000
    tasks["duration_s"] = [job.duration_s for job in jobs]
    return tasks.rename_axis("message").reset_index()


def _workers(report: Report) -> pd.DataFrame:
    return report.consumers().rename(columns={"consumer": "worker", "acked": "tasks"})[
        ["worker", "tasks", "received", "redelivered", "busy_s", "utilization"]
    ]


def _depth(run: Run) -> pd.DataFrame:
    """Follow the queue: a task that is delivered again was in it just before, even if nobody saw it return.

    Its worker may have been lost.
    """
    account = run.ledger.account()
    published_ns = account.messages["published_ns"]
    # Each message's deliveries in the order of time.
    deliveries = pd.DataFrame(account.deliveries).sort_values("number", kind="stable", ignore_index=True)
    next_ns = deliveries.groupby("number")["delivered_ns"].shift(-1, fill_value=0)
    settled_ns = deliveries["settled_ns"]
    came_back = (next_ns > 0) & ((settled_ns == 0) | (settled_ns > next_ns))
    settled_ns = settled_ns.where(~came_back, next_ns)
    requeued = came_back | (deliveries["outcome"] == REQUEUED)
    # Of what happens to a message at one moment, in the order in which it does.
    order = 2 * deliveries.index
    changes = pd.concat(
        [
            pd.DataFrame({"time_ns": published_ns, "order": -1, "ready": 1, "unacked": 0}),
            pd.DataFrame({"time_ns": deliveries["delivered_ns"], "order": order, "ready": -1, "unacked": 1}),
            pd.DataFrame(
                {"time_ns": settled_ns, "order": order + 1, "ready": requeued.astype(int), "unacked": -1}
            )[settled_ns > 0],
        ]
    ).sort_values(["time_ns", "order"], ignore_index=True)
    return pd.DataFrame(
        {
            "workers": run.workers,
            "time_s": (changes["time_ns"] - run.started_ns) / NS_PER_S,
            "ready": changes["ready"].cumsum(),
            "unacked": changes["unacked"].cumsum(),
        }
    )
