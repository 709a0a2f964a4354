"""What is to be done: tasks, when each arrives, and how long each takes."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rmqlab.engine import Task
from rmqlab.errors import DataError
from rmqlab.measure._load import Durations

ENGINE_TASKS = Path(__file__).parents[2] / "data" / "engine_tasks.csv"
MAKE_AGAIN = "make the file again with data/make_engine_tasks.py"


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


def load_workload(path: Path | str = ENGINE_TASKS, *, work_s: float = 8.0, day_s: float = 10.0) -> Workload:
    """Read the engine's workload: one task a flight that left New York on 2013-12-23.

    Each flight leaves a recording of its engines, as long as the flight, and the task is to
    process it. Real arrivals and real proportions; the pace is the caller's.

    Args:
        path: a CSV file with the columns of `data/engine_tasks.csv`.
        work_s: how long one worker is to be busy with all of the tasks, in seconds.
        day_s: how long the day is to be, from the first arrival to the last, in seconds.

    Raises:
        DataError: the file is missing or empty, or a line is not a task; says which.
        ValueError: a time is not above 0.
    """
    if not (work_s > 0 and day_s > 0):
        raise ValueError(f"work_s is {work_s} and day_s is {day_s}; both must be above 0")
    lines = _read(Path(path))
    first, last = lines[0][1], lines[-1][1]
    day_min = (last - first) or 1.0
    seconds_per_min = work_s / sum(recording_min for _, _, recording_min in lines)
    jobs = tuple(
        Job(task, (arrival_min - first) / day_min * day_s, recording_min * seconds_per_min)
        for task, arrival_min, recording_min in lines
    )
    return Workload(jobs, seconds_per_min)


def make_workload(count: int, durations: Durations, *, seed: int = 0) -> Workload:
    """Make up a workload whose tasks are all there from the beginning.

    A minute of recording is a millisecond of work.

    Args:
        count: how many tasks.
        durations: how long the tasks keep a worker busy, such as `ParetoDuration(mean_s)`.
        seed: of what is random; as with a `Load`, the same seed gives the same durations.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it goes from 1")
    durations_s = durations.durations_s(count, np.random.default_rng((seed, 1)))
    jobs = tuple(
        Job(Task(f"engine-{number}", "process", {"recording_min": duration_s * 1000}), 0.0, duration_s)
        for number, duration_s in enumerate(durations_s.tolist())
    )
    return Workload(jobs, seconds_per_min=0.001)


def _read(path: Path) -> list[tuple[Task, float, int]]:
    """Read tasks with their arrival and the length of their recording, in minutes."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [_parse(row, reader.line_num, path) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"The workload {path.name} is no CSV file ({error}). Next: {MAKE_AGAIN}") from error
    except OSError as error:
        raise DataError(
            f"The workload {path.name} cannot be read ({error.strerror}). Next: run from a clone of the "
            f"repository, or {MAKE_AGAIN}"
        ) from error
    if not rows:
        raise DataError(f"The workload {path.name} holds no task. Next: {MAKE_AGAIN}")
    return sorted(rows, key=lambda each: each[1])


def _parse(row: dict[str, str], line: int, path: Path) -> tuple[Task, float, int]:
    try:
        recording_min = int(row["duration_min"])
        data = {
            "flight": row["flight"],
            "origin": row["origin"],
            "destination": row["destination"],
            "delay_min": int(row["delay_min"]),
            "recording_min": recording_min,
        }
        task = Task(row["engine_id"], row["action"], data)
        arrival_min = float(row["arrival_min"])
        if not math.isfinite(arrival_min):
            raise ValueError(f"arrival_min is {arrival_min}")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Line {line} of {path.name} is not a task ({error!r}). Next: {MAKE_AGAIN}"
        ) from error
    if recording_min <= 0:
        raise DataError(f"Line {line} of {path.name} has no duration above 0. Next: {MAKE_AGAIN}")
    return task, arrival_min, recording_min
