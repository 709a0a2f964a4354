"""What programs do when their broker breaks, and the frames of what an engine lived through."""

from __future__ import annotations

import dataclasses
import math
import threading

import pika
import pytest
from helpers import Clock

from rmqlab.amqp import ConnectionEvent
from rmqlab.broker import Outage
from rmqlab.errors import BrokerError
from rmqlab.experiments import FaultRun, observe_exits
from rmqlab.measure import Ledger, by_message_id

S = 1_000_000_000


def _event(kind, name: str, at_s: float, *messages: str) -> ConnectionEvent:
    return ConnectionEvent(kind, name, messages=messages, at_ns=int(at_s * S))


@pytest.fixture
def endured() -> FaultRun:
    """Two tasks: one delivered before and again after a restart from 2 s to 5 s, one only after."""
    clock = Clock()
    ledger = Ledger(clock=clock)
    publisher = ledger.publisher("engine-api", identify=by_message_id)
    consumer = ledger.consumer("worker-1", identify=by_message_id)

    def deliver(at_s: float, tag: int, number: int, redelivered: bool, outcome=None) -> None:
        clock.now_ns = int(at_s * S)
        consumer.delivered(tag, redelivered, pika.BasicProperties(message_id=str(number)), b"")
        if outcome:
            consumer.settled(tag, False, outcome)

    clock.now_ns = 1 * S
    publisher.published(0)
    publisher.published(1)
    publisher.confirmed(0, 1)
    deliver(1.5, 1, 0, False)
    deliver(6.5, 1, 0, True, "acked")
    deliver(6.6, 2, 1, False, "acked")
    return FaultRun(
        ledger=ledger,
        faults=(
            (int(1.9 * S), Outage("restart", 2 * S, 5 * S)),
            (7 * S, Outage("closed", 7 * S, 7 * S)),
        ),
        connection_events=(
            _event("lost", "worker-1", 2, "0"),
            _event("lost", "engine-api", 2),
            _event("retrying", "worker-1", 3),
            _event("recovered", "engine-api", 4.9),
            _event("recovered", "worker-1", 5.5),
            _event("lost", "worker-1", 7.1),
            _event("recovered", "worker-1", 7.3),
            _event("lost", "engine-api", 7.2),
        ),
        republished=0,
        provenance={},
    )


def test_outages_count_from_the_first_task_and_tell_the_longest_silence(endured: FaultRun) -> None:
    outages = endured.outages()

    assert outages["fault"].tolist() == ["restart", "closed"]
    assert outages["down_s"].tolist() == [1, 6]
    assert outages["up_s"].tolist() == [4, 6]
    assert outages["silent_s"].tolist() == pytest.approx([5, 0])


def test_a_client_recovers_from_when_the_broker_is_back(endured: FaultRun) -> None:
    recoveries = endured.recoveries().set_index(["fault", "client"])["recover_s"]

    assert recoveries["restart", "worker-1"] == pytest.approx(0.5)
    assert recoveries["restart", "engine-api"] == 0  # sooner than we noticed that it was back
    assert recoveries["closed", "worker-1"] == pytest.approx(0.2)
    assert math.isnan(recoveries["closed", "engine-api"])


def test_a_client_that_is_lost_twice_by_one_fault_recovers_from_the_first_loss(endured: FaultRun) -> None:
    events = (
        _event("lost", "worker-1", 7.1),
        _event("recovered", "worker-1", 7.3),
        _event("lost", "worker-1", 7.4),
        _event("recovered", "worker-1", 8.1),
        _event("lost", "worker-2", 7.1),
        _event("recovered", "worker-2", 7.3),
        _event("lost", "worker-2", 7.4),
    )
    recoveries = (
        dataclasses.replace(endured, connection_events=events).recoveries().set_index("client")["recover_s"]
    )

    assert recoveries["worker-1"] == pytest.approx(1)
    assert math.isnan(recoveries["worker-2"])


def test_programs_die_return_or_go_on() -> None:
    broken, closed = threading.Event(), threading.Event()

    def die() -> None:
        broken.wait(10)
        raise ConnectionResetError("gone")

    found = observe_exits(
        {"dies": die, "returns": lambda: broken.wait(10), "goes on": lambda: closed.wait(10)},
        {"break": broken.set},
        begin=lambda: None,
        end=closed.set,
        timeout_s=0.3,
    ).set_index("program")

    assert found["outcome"].to_dict() == {name: name for name in ("dies", "returns", "goes on")}
    assert found["error"].to_dict() == {"dies": "ConnectionResetError", "returns": "", "goes on": ""}
    assert found["after_s"].notna().to_dict() == {"dies": True, "returns": True, "goes on": False}


def test_a_program_that_nothing_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqlab.experiments._exits.END_TIMEOUT_S", 0.05)
    for_ever = threading.Event()

    with pytest.raises(BrokerError, match="'stubborn' still runs"):
        observe_exits(
            {"stubborn": lambda: for_ever.wait(10)},
            {"nothing": lambda: None},
            begin=lambda: None,
            end=lambda: None,
            timeout_s=0,
        )
    for_ever.set()


def test_programs_are_ended_when_their_fault_cannot_happen() -> None:
    closed = threading.Event()

    def fail() -> None:
        raise OSError("no such fault")

    with pytest.raises(OSError, match="no such fault"):
        observe_exits(
            {"program": lambda: closed.wait(10)}, {"fault": fail}, begin=lambda: None, end=closed.set
        )

    assert closed.is_set()
