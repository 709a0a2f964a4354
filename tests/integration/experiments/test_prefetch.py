"""What a prefetch does to how work is shared, and over a distance to how fast it is done."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from rmqlab.broker import Link
from rmqlab.experiments import (
    Runs,
    Workload,
    consume_load,
    make_workload,
    round_trip_ms,
    run_workload,
)
from rmqlab.measure import ConstantDuration, Load, publish_load

WORKERS = 4
DELAY_MS = 5.0


@pytest.fixture(scope="module")
def workload() -> Workload:
    return make_workload(60, ConstantDuration(0.002))


@pytest.fixture(scope="module")
def runs(broker, workload) -> Runs:
    runs = {
        each: run_workload(broker, workload, workers=WORKERS, prefetch_count=each, progress=False)
        for each in (0, 1)
    }
    return Runs(runs, by="prefetch")


def test_without_a_limit_one_worker_has_everything(runs) -> None:
    hoarded, shared = (run.sharing().to_dict("records")[0] for run in runs.runs.values())

    assert hoarded["jain"] == hoarded["jain_busy"] == 1 / WORKERS
    assert hoarded["idle_share"] > 0.7
    assert shared["jain"] > 0.8
    assert shared["jain_busy"] > 0.8
    assert hoarded["makespan_s"] > shared["makespan_s"]


def test_a_run_is_one_row_with_what_it_was_made_with(runs, broker, workload) -> None:
    frame = pd.concat([run.sharing() for run in runs.runs.values()])

    assert list(frame["prefetch"]) == [0, 1]
    assert (frame["workers"] == WORKERS).all()
    assert (frame["acked"] == len(workload)).all()
    assert (frame["ideal_s"] == workload.work_s / WORKERS).all()
    assert (frame["rabbitmq"] == broker.version).all()


def test_a_worker_that_got_nothing_is_shown_too(runs) -> None:
    workers = runs.workers()

    assert list(workers) == ["prefetch", "worker", "tasks", "busy_s"]
    assert len(workers) == 2 * WORKERS
    assert sorted(workers.query("prefetch == 0")["tasks"]) == [0] * (WORKERS - 1) + [60]
    assert workers.query("prefetch == 1")["tasks"].sum() == 60


def test_deliveries_of_runs_can_be_told_apart(runs) -> None:
    deliveries = runs.deliveries()

    assert list(deliveries.groupby("prefetch").size()) == [60, 60]
    assert {"consumer", "begun_s", "settled_s"} <= set(deliveries)


def test_a_round_trip_takes_both_ways(broker) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link:
        assert round_trip_ms(link, calls=3) >= 2 * DELAY_MS
        assert round_trip_ms(link.url, calls=1) >= 2 * DELAY_MS
    assert round_trip_ms(broker) > 0


def test_a_round_trip_needs_a_call(broker) -> None:
    with pytest.raises(ValueError, match="calls is 0"):
        round_trip_ms(broker, calls=0)


def test_over_a_distance_a_prefetch_of_1_waits_after_each_message(broker) -> None:
    load = Load(20, durations=ConstantDuration(0.001))
    with Link(broker, delay_ms=DELAY_MS) as link:
        one = consume_load(broker, load, link=link, prefetch_count=1)
        many = consume_load(broker, load, link=link, prefetch_count=20)

    assert one["idle_share"].item() > 0.5
    assert many["idle_share"].item() < 0.1
    assert 2 * one["rate_msg_s"].item() < many["rate_msg_s"].item()


@pytest.mark.parametrize("prefetch", [0, 1, 7])
def test_each_message_of_a_load_is_done_once(broker, prefetch: int) -> None:
    (row,) = consume_load(broker, Load(30), prefetch_count=prefetch).to_dict("records")

    assert row["published"] == row["acked"] == 30
    assert row["redelivered"] == 0
    assert (row["delay_ms"], row["prefetch"], row["task_ms"]) == (0, prefetch, 0)
    assert row["rabbitmq"] == broker.version


def test_a_message_of_somebody_else_is_no_work(broker, monkeypatch) -> None:
    durations_s, slept_s = Load(3, durations=ConstantDuration(0.05)), []

    def publish(publisher, load) -> None:
        publisher.publish(b"somebody else's")
        publish_load(publisher, load)

    monkeypatch.setattr("rmqlab.experiments._prefetch.publish_load", publish)
    monkeypatch.setattr("rmqlab.experiments._prefetch.time", SimpleNamespace(sleep=slept_s.append))
    consume_load(broker, durations_s, prefetch_count=1)

    assert slept_s == [0.05, 0.05]  # the third message of the load is the fourth to come


def test_a_load_is_not_disturbed_by_what_an_earlier_one_left(broker) -> None:
    load = Load(10)
    consume_load(broker, load, prefetch_count=1)
    run_workload(
        broker, make_workload(5, ConstantDuration()), until=lambda ledger: ledger.done >= 1, progress=False
    )

    assert consume_load(broker, load, prefetch_count=1)["acked"].item() == 10
