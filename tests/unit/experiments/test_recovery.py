"""What the frames of a run with faults show, of a run that was made up."""

from __future__ import annotations

import math

import pytest
from helpers import ledger_of

from rmqlab.amqp import ConnectionEvent
from rmqlab.broker import Outage
from rmqlab.experiments import Result
from rmqlab.experiments.recovery import recovery_result

S = 1_000_000_000


def _event(kind, name: str, at_s: float, *messages: str) -> ConnectionEvent:
    return ConnectionEvent(kind, name, messages=messages, at_ns=int(at_s * S))


EVENTS = (
    _event("lost", "worker-1", 2, "0"),
    _event("lost", "engine-api", 2),
    _event("retrying", "worker-1", 3),
    _event("recovered", "engine-api", 4.9),
    _event("recovered", "worker-1", 5.5),
    _event("lost", "worker-1", 7.1),
    _event("recovered", "worker-1", 7.3),
    _event("lost", "engine-api", 7.2),
)


def _run(*events: ConnectionEvent) -> Result:
    """Two tasks: one delivered before and again after a restart from 2 s to 5 s, one only after."""
    ledger = ledger_of(
        *((1, "published", 0), (1, "published", 1), (1.5, "delivered", 0, "worker-1")),
        *((6.5, "delivered", 0, "worker-1"), (6.6, "delivered", 1, "worker-1")),
    )
    faults = [(int(1.9 * S), Outage("restart", 2 * S, 5 * S)), (7 * S, Outage("closed", 7 * S, 7 * S))]
    return recovery_result(ledger, faults, events, republished=3, environment={})


def test_outages_count_from_the_first_task_and_have_the_longest_silence() -> None:
    outages = _run(*EVENTS).frame("outages")

    assert outages["fault"].tolist() == ["restart", "closed"]
    assert outages["down_s"].tolist() == [1, 6]
    assert outages["up_s"].tolist() == [4, 6]
    assert outages["silent_s"].tolist() == pytest.approx([5, 0])


def test_a_client_recovers_from_when_the_broker_is_back() -> None:
    recoveries = _run(*EVENTS).frame().set_index(["fault", "client"])["recover_s"]

    assert recoveries["restart", "worker-1"] == pytest.approx(0.5)
    assert recoveries["restart", "engine-api"] == 0  # sooner than we noticed that it was back
    assert recoveries["closed", "worker-1"] == pytest.approx(0.2)
    assert math.isnan(recoveries["closed", "engine-api"])


def test_a_client_that_is_lost_twice_by_one_fault_recovers_from_the_first_loss() -> None:
    run = _run(
        _event("lost", "worker-1", 7.1),
        _event("recovered", "worker-1", 7.3),
        _event("lost", "worker-1", 7.4),
        _event("recovered", "worker-1", 8.1),
        _event("lost", "worker-2", 7.1),
        _event("recovered", "worker-2", 7.3),
        _event("lost", "worker-2", 7.4),
    )
    recover_s = run.frame().set_index("client")["recover_s"]

    assert recover_s["worker-1"] == pytest.approx(1)
    assert math.isnan(recover_s["worker-2"])


def test_tasks_that_a_worker_held_are_told_from_others() -> None:
    run = _run(*EVENTS)

    assert run.frame("tasks").to_numpy().tolist() == [[0, 2, True], [1, 1, False]]
    assert run.frame("totals")[["published", "duplicated", "republished"]].iloc[0].tolist() == [2, 1, 3]
    assert run.frame("events")["event"].value_counts().to_dict() == {"lost": 4, "recovered": 3, "retrying": 1}
