"""The engine's workload: the file in `data/`, and workloads that are made up."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rmqlab.engine import Task
from rmqlab.experiments import load_workload, make_workload
from rmqlab.measure import ConstantDuration, Load, ParetoDuration

FILE = Path(__file__).parents[3] / "data" / "engine_tasks.csv"


def test_the_file_holds_one_day_of_real_tasks() -> None:
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 960
    assert len(rows[0]) == 11
    assert all(int(row["duration_min"]) > 0 for row in rows)
    assert all(row["engine_id"].startswith("engine-N") and row["action"] == "process" for row in rows)
    arrivals = [int(row["arrival_min"]) for row in rows]
    assert arrivals == sorted(arrivals)
    # A flight number is flown once a day from one airport.
    assert len({(row["flight"], row["origin"], row["destination"]) for row in rows}) == len(rows)


def test_the_pace_is_the_callers() -> None:
    workload = load_workload(work_s=3, day_s=5)

    assert workload.work_s == pytest.approx(3)
    assert workload.day_s == pytest.approx(5)
    assert all(job.duration_s > 0 for job in workload)


def test_every_task_of_it_can_be_sent() -> None:
    assert all(Task.decode(job.task.encode()) == job.task for job in load_workload())


def test_a_made_up_workload_is_the_same_each_time() -> None:
    durations = ParetoDuration(mean_s=0.01)

    assert [job.duration_s for job in make_workload(50, durations)] == list(
        Load(50, durations=durations).durations_s()
    )


def test_a_made_up_task_has_the_duration_of_its_work() -> None:
    workload = make_workload(3, ConstantDuration(0.25))

    assert workload.work_s == pytest.approx(0.75)
    assert workload.day_s == 0
    assert [job.task.engine_id for job in workload] == ["engine-0", "engine-1", "engine-2"]
    for job in workload:
        assert job.task.data["recording_min"] * workload.seconds_per_min == pytest.approx(0.25)
