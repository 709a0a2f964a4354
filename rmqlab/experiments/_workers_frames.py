"""Runs of the engine's workload, and the tidy frames that tell what happened in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd

from rmqlab.experiments._workload import Workload
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._report import NS_PER_S, OUTCOME_WORDS, Report
from rmqlab.measure._snapshots import REQUEUED


@dataclass(frozen=True, slots=True)
class Run:
    """One workload, run once.

    Attributes:
        workload: what was to be done; job number i is message i of the ledger.
        ledger: what happened.
        rabbitmq: version of the broker.
        workers: how many workers there were.
        prefetch: how many unacknowledged messages each was handed at a time; 0 is no limit.
        started_ns: when the workers began, in nanoseconds of the ledger's clock.
        replayed_ns: when the replay of arrivals began; None if all was published before.
        busy_core_s: how long the machine's cores were busy meanwhile, with whatever ran on
            it, in core-seconds.
    """

    workload: Workload
    ledger: Ledger
    rabbitmq: str
    workers: int
    prefetch: int
    started_ns: int
    replayed_ns: int | None = None
    busy_core_s: float = float("nan")

    def __repr__(self) -> str:
        return f"<Run of {len(self.workload)} tasks by {self.workers} workers>"

    @property
    def makespan_s(self) -> float:
        """How long it took from the workers' beginning to the last task's end, in seconds."""
        messages = self.ledger.account().messages
        times = ("published_ns", "delivered_ns", "settled_ns")
        last_ns = max(int(messages[name].max(initial=0)) for name in times)
        return (last_ns - self.started_ns) / NS_PER_S

    def tasks(self) -> pd.DataFrame:
        """Show the outcome of each task.

        Returns:
            One row a task: message (its number), engine_id, workers (in the run), worker
            (the last to have it), due_s (when it was to be published; NaN without a replay),
            published_s, delivered_s (first), settled_s (last) in seconds from the workers'
            beginning, lag_ms (from when it was due to its publishing), wait_ms (from the workers'
            beginning, or from its publishing if that is later, to its delivery), work_ms (delivery
            to settling), outcome, deliveries.
        """
        account = self.ledger.account()
        messages = account.messages
        workers = np.array([*account.consumers, None], dtype=object)  # of place -1: nobody
        known = pd.DataFrame(
            {
                "worker": workers[messages["consumer"]],
                "published_s": messages["published_ns"],
                "delivered_s": messages["delivered_ns"],
                "settled_s": messages["settled_ns"],
                "outcome": OUTCOME_WORDS[messages["outcome"]],
                "deliveries": messages["deliveries"].astype(np.int64),
            },
            index=messages["number"],
        )
        times = ["published_s", "delivered_s", "settled_s"]
        known[times] = (known[times].where(known[times] > 0) - self.started_ns) / NS_PER_S
        tasks = known.reindex(range(len(self.workload)))
        tasks["deliveries"] = tasks["deliveries"].fillna(0).astype(int)
        tasks.insert(0, "workers", self.workers)
        tasks.insert(0, "engine_id", [job.task.engine_id for job in self.workload])
        since_ns = float("nan") if self.replayed_ns is None else self.replayed_ns - self.started_ns
        arrivals_s = np.array([job.arrival_s for job in self.workload])
        tasks.insert(3, "due_s", since_ns / NS_PER_S + arrivals_s)
        tasks["lag_ms"] = (tasks["published_s"] - tasks["due_s"]) * 1000
        tasks["wait_ms"] = (tasks["delivered_s"] - tasks["published_s"].clip(lower=0)) * 1000
        tasks["work_ms"] = (tasks["settled_s"] - tasks["delivered_s"]) * 1000
        return tasks.rename_axis("message").reset_index()

    def summary(self) -> pd.DataFrame:
        """Show the run in one row.

        Returns:
            workers, prefetch, published, received (deliveries), acked, rejected,
            redelivered, work_s (of one worker for all of it), makespan_s, ideal_s (if the
            work were shared without loss), rate_msg_s, efficiency (ideal over real),
            overhead_ms (of a worker's time, what each task took beyond its work), busy_core_s
            (of all the machine's cores, with whatever ran on it), lag_p99_ms (how late 99 of 100
            tasks were published at most; NaN without a replay), and where it was measured:
            rabbitmq, pika, cores.
        """
        totals = self.ledger.totals()
        makespan_s = self.makespan_s
        ideal_s = self.workload.work_s / self.workers
        row = {
            "workers": self.workers,
            "prefetch": self.prefetch,
            "published": totals.published,
            "received": totals.received,
            "acked": totals.acked,
            "rejected": totals.rejected,
            "redelivered": totals.redelivered,
            "work_s": self.workload.work_s,
            "makespan_s": makespan_s,
            "ideal_s": ideal_s,
            "rate_msg_s": totals.acked / makespan_s,
            "efficiency": ideal_s / makespan_s,
            "overhead_ms": (makespan_s - ideal_s) * self.workers / len(self.workload) * 1000,
            "busy_core_s": self.busy_core_s,
            "lag_p99_ms": self.tasks()["lag_ms"].quantile(0.99),
            "rabbitmq": self.rabbitmq,
            "pika": version("pika"),
            "cores": os.cpu_count(),
        }
        return pd.DataFrame([row])

    def sharing(self) -> pd.DataFrame:
        """Show how evenly the workers shared the work, and what that was worth.

        Returns:
            One row: workers, prefetch, acked, jain (Jain's index of the tasks that each worker
            did), jain_busy (of the time that each had a task in hand), idle_share (part of the
            workers' time without a task in hand, until the last one was done), makespan_s,
            ideal_s (if the work were shared without loss), and where it was measured:
            rabbitmq, pika, cores.
        """
        fairness, summary = Report.of(self.ledger).fairness(), self.summary()
        return summary[["workers", "prefetch", "acked"]].assign(
            jain=fairness["jain"],
            jain_busy=fairness["jain_busy"],
            idle_share=1 - fairness["mean_utilization"],
            **{name: summary[name] for name in ("makespan_s", "ideal_s", "rabbitmq", "pika", "cores")},
        )

    def shares(self) -> pd.DataFrame:
        """Show what each worker did.

        Returns:
            One row a worker, also one that got nothing: worker, tasks (that it acknowledged),
            busy_s (with a task in hand).
        """
        workers = Report.of(self.ledger).consumers()[["consumer", "acked", "busy_s"]]
        return workers.rename(columns={"consumer": "worker", "acked": "tasks"})

    def depth(self) -> pd.DataFrame:
        """Show how many tasks wait in the queue, and how many are in workers' hands.

        A task that is delivered again was back in the queue just before, even where nobody
        saw it return: its worker was lost.

        Returns:
            One row a change: workers, time_s (from the workers' beginning), ready (in the
            queue), unacked (delivered, not yet settled).
        """
        account = self.ledger.account()
        published_ns = account.messages["published_ns"]
        # By message, each one's deliveries in the order of time.
        deliveries = account.deliveries[np.argsort(account.place, kind="stable")]
        is_again = deliveries["number"][1:] == deliveries["number"][:-1]
        next_ns = np.zeros(len(deliveries), np.int64)
        next_ns[:-1] = np.where(is_again, deliveries["delivered_ns"][1:], 0)
        came_back = (next_ns > 0) & ((deliveries["settled_ns"] == 0) | (deliveries["settled_ns"] > next_ns))
        settled_ns = np.where(came_back, next_ns, deliveries["settled_ns"])
        requeued = came_back | (deliveries["outcome"] == REQUEUED)
        is_settled = settled_ns > 0
        count, ends = len(deliveries), int(is_settled.sum())
        frame = pd.DataFrame(
            {
                "time_ns": np.concatenate([published_ns, deliveries["delivered_ns"], settled_ns[is_settled]]),
                # Of what happens to a message at one moment, in the order in which it does.
                "turn": np.concatenate(
                    [np.full(len(published_ns), -1), np.arange(count) * 2, np.flatnonzero(is_settled) * 2 + 1]
                ),
                "ready": np.concatenate(
                    [np.ones(len(published_ns), int), np.full(count, -1), requeued[is_settled].astype(int)]
                ),
                "unacked": np.concatenate(
                    [np.zeros(len(published_ns), int), np.ones(count, int), np.full(ends, -1)]
                ),
            }
        ).sort_values(["time_ns", "turn"], ignore_index=True)
        return pd.DataFrame(
            {
                "workers": self.workers,
                "time_s": (frame["time_ns"] - self.started_ns) / NS_PER_S,
                "ready": frame["ready"].cumsum(),
                "unacked": frame["unacked"].cumsum(),
            }
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """Several runs side by side: each frame is that of the runs, one below the other.

    Attributes:
        runs: the runs, by what differs between them.
        by: what that is, such as `ack`: the name of the column that tells them apart.
    """

    runs: Mapping[str, Run] | Mapping[int, Run]
    by: str

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs by {self.by}>"

    def tasks(self) -> pd.DataFrame:
        """Show the outcome of each task, as `Run.tasks`, one row a task and run."""
        return self._below_each_other(Run.tasks)

    def summary(self) -> pd.DataFrame:
        """Show the runs, as `Run.summary`, one row each."""
        return self._below_each_other(Run.summary)

    def depth(self) -> pd.DataFrame:
        """Show the depth of the queue over time in each run, as `Run.depth`."""
        return self._below_each_other(Run.depth)

    def deliveries(self) -> pd.DataFrame:
        """Show each delivery of each run, as `Report.deliveries`."""
        return self._below_each_other(lambda run: Report.of(run.ledger).deliveries())

    def workers(self) -> pd.DataFrame:
        """Show what each worker of each run did, as `Run.shares`."""
        return self._below_each_other(Run.shares)

    def _below_each_other(self, frame_of: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
        frames = {name: frame_of(run) for name, run in self.runs.items()}
        for name, frame in frames.items():
            if self.by not in frame:
                frame.insert(0, self.by, name)
        return pd.concat(frames.values(), ignore_index=True)
