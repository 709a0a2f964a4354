"""Runs, and the tidy frames that tell what happened in them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from rmqlab.measure._ledger import Ledger
from rmqlab.measure._workload import Workload

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Run:
    """One workload, run once.

    Attributes:
        workload: what was to be done.
        ledger: what happened.
        rabbitmq: version of the broker.
        workers: how many workers there were.
        prefetch: how many unacknowledged messages each was handed at a time; 0 is no limit.
        started_s: when the workers began, in seconds of the ledger's clock.
    """

    workload: Workload
    ledger: Ledger
    rabbitmq: str
    workers: int
    prefetch: int
    started_s: float

    def __repr__(self) -> str:
        return f"<Run of {len(self.workload)} tasks by {self.workers} workers>"

    @property
    def makespan_s(self) -> float:
        """How long it took from the workers' beginning to the last task's end, in seconds."""
        return max(entry.time_s for entry in self.ledger.entries) - self.started_s

    def tasks(self) -> pd.DataFrame:
        """Show what became of each task.

        Returns:
            One row a task: message (its number), engine_id, workers (in the run), worker
            (the last to have it), published_s, delivered_s (first), settled_s (last) in
            seconds from the workers' beginning, wait_ms (from then, or from its publishing
            if that is later, to its delivery), work_ms (delivery to settling), outcome, deliveries.
        """
        import pandas as pd

        frame = self.ledger.frame()
        frame["time_s"] -= self._offset_s
        times = {
            "published_s": frame[frame["event"] == "published"].groupby("message")["time_s"].first(),
            "delivered_s": frame[frame["event"] == "delivered"].groupby("message")["time_s"].first(),
        }
        ends = frame[~frame["event"].isin(["published", "delivered"])].groupby("message").last()
        deliveries = frame[frame["event"] == "delivered"].groupby("message").size()
        tasks = pd.DataFrame({"engine_id": [job.task.engine_id for job in self.workload]}).rename_axis(
            "message"
        )
        tasks = tasks.assign(
            workers=self.workers,
            worker=ends["worker"],
            **times,
            settled_s=ends["time_s"],
            outcome=ends["event"],
            deliveries=deliveries,
        ).reset_index()
        tasks["wait_ms"] = (tasks["delivered_s"] - tasks["published_s"].clip(lower=0)) * 1000
        tasks["work_ms"] = (tasks["settled_s"] - tasks["delivered_s"]) * 1000
        return tasks

    def summary(self) -> pd.DataFrame:
        """Show the run in one row.

        Returns:
            workers, prefetch, published, received (deliveries), acked, rejected,
            redelivered, work_s (of one worker for all of it), makespan_s, ideal_s (if the
            work were shared without loss), rate_msg_s, efficiency (ideal over real), and
            where it was measured: rabbitmq, pika, cores.
        """
        import pandas as pd

        counts = Counter(entry.event for entry in self.ledger.entries)
        redelivered = sum(e.redelivered for e in self.ledger.entries if e.event == "delivered")
        ideal_s = self.workload.work_s / self.workers
        row = {
            "workers": self.workers,
            "prefetch": self.prefetch,
            "published": counts["published"],
            "received": counts["delivered"],
            "acked": counts["acked"],
            "rejected": counts["rejected"],
            "redelivered": redelivered,
            "work_s": self.workload.work_s,
            "makespan_s": self.makespan_s,
            "ideal_s": ideal_s,
            "rate_msg_s": counts["acked"] / self.makespan_s,
            "efficiency": ideal_s / self.makespan_s,
            "rabbitmq": self.rabbitmq,
            "pika": version("pika"),
            "cores": os.cpu_count(),
        }
        return pd.DataFrame([row])

    def depth(self) -> pd.DataFrame:
        """Show how many tasks wait in the queue, and how many are in workers' hands.

        Returns:
            One row a change: workers, time_s (from the workers' beginning), ready (in the
            queue), unacked (delivered, not yet settled).
        """
        frame = self.ledger.frame()
        ready = frame["event"].map({"published": 1, "delivered": -1, "requeued": 1}).fillna(0)
        unacked = frame["event"].map({"published": 0, "delivered": 1}).fillna(-1)
        return frame.assign(
            workers=self.workers,
            time_s=frame["time_s"] - self._offset_s,
            ready=ready.cumsum().astype(int),
            unacked=unacked.cumsum().astype(int),
        )[["workers", "time_s", "ready", "unacked"]]

    @property
    def _offset_s(self) -> float:
        return self.started_s - min(entry.time_s for entry in self.ledger.entries)


@dataclass(frozen=True, slots=True)
class Runs:
    """Several runs side by side; its frames are those of `Run`, one below the other.

    Attributes:
        runs: the runs.
    """

    runs: tuple[Run, ...]

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs>"

    def tasks(self) -> pd.DataFrame:
        """Show what became of each task, one row a task and run."""
        import pandas as pd

        return pd.concat([run.tasks() for run in self.runs], ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Show the runs, one row each."""
        import pandas as pd

        return pd.concat([run.summary() for run in self.runs], ignore_index=True)

    def depth(self) -> pd.DataFrame:
        """Show the depth of the queue over time in each run."""
        import pandas as pd

        return pd.concat([run.depth() for run in self.runs], ignore_index=True)
