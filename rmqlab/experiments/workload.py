"""What is to be done: tasks, when each arrives, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rmqlab.course import DATA
from rmqlab.engine import Task
from rmqlab.measure._load import SEED, Durations

ENGINE_TASKS = DATA / "engine_tasks.csv"


@dataclass(frozen=True, slots=True)
class Job:
    """One task of a workload.

    Attributes:
        task: the task; its data has `recording_min`, the minutes of recording to process.
        arrival_s: when it is published, in seconds from the start of the workload.
        duration_s: how long a worker is busy with it, in seconds.
    """

    task: Task
    arrival_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs in the order of their arrival.

    Attributes:
        jobs: the jobs; job number i is message i of a run.
        seconds_per_min: how long a worker is busy with a minute of recording, in seconds.
    """

    jobs: tuple[Job, ...]
    seconds_per_min: float

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __repr__(self) -> str:
        return (
            f"<Workload: {len(self)} tasks, {self.work_s:.1f} s of work, arriving within {self.day_s:.1f} s>"
        )

    @property
    def work_s(self) -> float:
        """How long one worker is busy with all of it, in seconds."""
        return sum(job.duration_s for job in self.jobs)

    @property
    def day_s(self) -> float:
        """How long it takes from the first arrival to the last, in seconds."""
        return self.jobs[-1].arrival_s - self.jobs[0].arrival_s if self.jobs else 0.0

    def execute(self, task: Task) -> None:
        """Be busy with a task for as long as its recording asks.

        The worker waits, as one does whose engine runs on another machine; so workers do
        not compete for this machine's cores.
        """
        time.sleep(task.data["recording_min"] * self.seconds_per_min)

    def head(self, count: int) -> Workload:
        """Return the first jobs only."""
        return Workload(self.jobs[:count], self.seconds_per_min)

    def frame(self) -> pd.DataFrame:
        """Show the jobs.

        Returns:
            One row a job: engine_id, action, the fields of the task's data, arrival_s,
            duration_s.
        """
        return pd.DataFrame(
            {
                "engine_id": job.task.engine_id,
                "action": job.task.action,
                **job.task.data,
                "arrival_s": job.arrival_s,
                "duration_s": job.duration_s,
            }
            for job in self.jobs
        )


def load_workload(*, work_s: float = 8.0, day_s: float = 10.0) -> Workload:
    """Read the engine's workload: one task a flight that left New York on 2013-12-23.

    Each flight leaves a recording of its engines, as long as the flight, and the task is to
    process it. Arrivals and proportions are real.

    Args:
        work_s: how long one worker is to be busy with all of the tasks, in seconds.
        day_s: how long the day is to be, from the first arrival to the last, in seconds.

    Raises:
        OSError: the file cannot be read.
    """
    flights = pd.read_csv(ENGINE_TASKS, keep_default_na=False)
    arrival_min = flights["arrival_min"] - flights["arrival_min"].min()
    seconds_per_min = work_s / flights["duration_min"].sum()
    arrivals_s = (arrival_min / arrival_min.max() * day_s).tolist()
    flights["recording_min"] = flights["duration_min"]
    fields = ["flight", "origin", "destination", "delay_min", "recording_min"]
    jobs = []
    for flight, arrival_s in zip(flights.to_dict("records"), arrivals_s, strict=True):
        task = Task(flight["engine_id"], flight["action"], {name: flight[name] for name in fields})
        jobs.append(Job(task, arrival_s, flight["recording_min"] * seconds_per_min))
    return Workload(tuple(jobs), float(seconds_per_min))


def make_workload(count: int, durations: Durations) -> Workload:
    """Make up a workload whose tasks are all there from the beginning.

    A minute of recording is a millisecond of work.

    Args:
        count: how many tasks.
        durations: how long the tasks keep a worker busy, such as `ParetoDuration(mean_s)`; the
            same ones each time, as with a `Load`.
    """
    durations_s = durations.durations_s(count, np.random.default_rng(SEED))
    jobs = tuple(
        Job(Task(f"engine-{number}", "process", {"recording_min": duration_s * 1000}), 0.0, duration_s)
        for number, duration_s in enumerate(durations_s.tolist())
    )
    return Workload(jobs, seconds_per_min=0.001)
