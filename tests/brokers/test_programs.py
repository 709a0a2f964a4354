"""The programs to take home: each does its work, ends when told to, and says what went wrong."""

from __future__ import annotations

import json
import re
import signal
from contextlib import ExitStack
from typing import Any

import pytest
from fake_amqp import FakeServer
from helpers import channel_to, clients_of, eventually, take_all
from pika import frame, spec
from take_home import MANY, started

from rmqlab.broker import Broker, Link, OwnBroker
from rmqlab.broker._management import Management

HEARTBEAT_S = 2


def publish(channel: Any, *bodies: bytes) -> None:
    for body in bodies:
        channel.basic_publish("", "engine:tasks", body)


def task(number: int, work_s: float = 0) -> bytes:
    return json.dumps(
        {"engine_id": f"engine-{number}", "action": "process", "data": {"work_s": work_s}}
    ).encode()


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["worker", "recovering_worker"])
@pytest.mark.parametrize("source", ["publisher", "confirming_publisher"])
def test_each_task_is_done_once(broker: Broker, source: str, name: str, ending: signal.Signals) -> None:
    with started(source, broker, "20") as publisher, started(name, broker) as worker:
        assert publisher.exit_code() == 0
        assert eventually(lambda: len(worker.engines("done")) == 20)
        assert worker.end(ending) == 0

    assert publisher.engines("confirmed") == worker.engines("done") == [f"engine-{n}" for n in range(20)]


@pytest.mark.parametrize("name", ["worker", "recovering_worker"])
def test_a_body_that_is_no_task_is_logged_and_the_next_one_is_done(
    broker: Broker, tasks: Any, name: str
) -> None:
    publish(tasks, b"not a task", task(1))
    with started(name, broker) as worker:
        assert eventually(lambda: worker.engines("done") == ["engine-1"])
        assert worker.end() == 0

    assert "failed: b'not a task'" in worker.log
    assert not take_all(tasks, "engine:tasks")


def test_what_a_killed_worker_held_comes_again(broker: Broker, tasks: Any) -> None:
    # Lesson 05 does this with the other one.
    publish(tasks, task(1, work_s=60))
    with started("recovering_worker", broker) as worker:
        broker.wait_for_queue("engine:tasks", consumers=1, ready=0)
        worker.end(signal.SIGKILL)

    broker.wait_for_queue("engine:tasks", ready=1)
    method, _, body = tasks.basic_get("engine:tasks", auto_ack=True)
    assert (method.redelivered, body) == (True, task(1, work_s=60))


@pytest.mark.parametrize("name", ["worker", "recovering_worker"])
def test_the_task_in_hand_is_done_before_the_end(broker: Broker, tasks: Any, name: str) -> None:
    publish(tasks, task(1, work_s=1), task(2))
    with started(name, broker) as worker:
        broker.wait_for_queue("engine:tasks", consumers=1, ready=1)
        assert worker.end() == 0

    assert worker.engines("done") == ["engine-1"]
    assert take_all(tasks, "engine:tasks") == [task(2)]


def test_a_task_longer_than_the_heartbeat_is_done_once(broker: Broker, tasks: Any) -> None:
    publish(tasks, task(1, work_s=4 * HEARTBEAT_S))
    with started("recovering_worker", f"{broker.url}?heartbeat={HEARTBEAT_S}") as worker:
        assert eventually(lambda: worker.engines("done") == ["engine-1"])
        assert worker.end() == 0

    assert "lost" not in worker.log


def test_a_named_subscriber_gets_what_it_missed_and_one_without_a_name_does_not(broker: Broker) -> None:
    with channel_to(broker) as channel:
        for name in ("", "audit"):
            arguments = [name] if name else []
            with started("subscriber", broker, *arguments) as subscriber:
                assert eventually(lambda: "subscribed" in subscriber.log)
                assert subscriber.end() == 0
        channel.basic_publish("engine:events", "", b"missed")
        with started("subscriber", broker) as passing, started("subscriber", broker, "audit") as audit:
            assert eventually(lambda: "subscribed" in passing.log)
            channel.basic_publish("engine:events", "", b"seen")
            for each in (passing, audit):
                assert eventually(lambda: "event seen" in each.log)  # noqa: B023
                assert each.end() == 0
        channel.queue_delete("engine:events:audit")

    assert "event missed" in audit.log
    assert "event missed" not in passing.log


@pytest.mark.parametrize(("key", "queue"), [("high-priority", "engine:tasks"), ("hihg", "engine:unrouted")])
def test_a_routed_task_is_in_its_queue_or_with_the_unrouted(
    broker: Broker, tasks: Any, key: str, queue: str
) -> None:
    with started("router", broker, "any", "0") as router:  # declares
        assert router.exit_code() == 0
    tasks.queue_bind("engine:tasks", "engine:routing", routing_key="high-priority")
    with started("router", broker, key, "5") as router:
        assert router.exit_code() == 0

    assert len(take_all(tasks, queue)) == len(router.engines("confirmed")) == 5


def test_a_task_that_not_even_the_alternate_exchange_can_place_is_an_error(broker: Broker) -> None:
    with channel_to(broker) as channel, started("router", broker, "any", MANY) as router:
        assert eventually(lambda: len(router.engines("confirmed")) > 0)
        channel.queue_delete("engine:unrouted")
        assert router.exit_code() == 1

    assert "no queue wants" in router.log
    assert "Traceback" not in router.log


@pytest.mark.parametrize(("name", "arguments"), [("publisher", [MANY]), ("worker", []), ("subscriber", [])])
def test_a_simple_program_says_that_its_connection_is_lost(
    own_broker: OwnBroker, name: str, arguments: list[str]
) -> None:
    with Link(own_broker) as link, started(name, link, *arguments) as program:
        assert eventually(lambda: clients_of(own_broker))
        link.drop()
        assert program.exit_code() == 1

    assert "Traceback" not in program.log


def test_tasks_that_a_full_queue_refuses_are_published_again(own_broker: OwnBroker) -> None:
    policy = {"pattern": "^engine:tasks$", "definition": {"max-length": 10, "overflow": "reject-publish"}}
    with Management(own_broker.management_url or "", own_broker.address) as management, ExitStack() as stack:
        management.call("PUT", "/policies/%2F/full", policy)
        stack.callback(management.call, "DELETE", "/policies/%2F/full")
        with channel_to(own_broker) as channel:
            channel.queue_delete("engine:tasks")  # with what another program has left
        publisher = stack.enter_context(started("confirming_publisher", own_broker, "200"))
        own_broker.wait_for_queue("engine:tasks", ready=10, timeout_s=20)
        worker = stack.enter_context(started("recovering_worker", own_broker))
        assert publisher.exit_code() == 0
        own_broker.wait_for_queue("engine:tasks", ready=0, timeout_s=20)
        assert worker.end() == 0

    every = {f"engine-{number}" for number in range(200)}
    assert set(publisher.engines("confirmed")) == set(worker.engines("done")) == every


@pytest.mark.parametrize(
    ("stage", "is_cut"),
    [(frame.ProtocolHeader, False), (spec.Connection.StartOk, True), (spec.Connection.Open, True)],
)
@pytest.mark.parametrize(("name", "code"), [("recovering_worker", 0), ("confirming_publisher", 1)])
def test_a_connection_that_does_not_come_about_is_tried_again(
    name: str, code: int, stage: type, is_cut: bool
) -> None:
    with FakeServer(unanswered=[stage]) as server:
        with started(name, f"{server.url}?stack_timeout=1", MANY) as program:
            assert eventually(lambda: server.peers)
            server.peers[0].wait_for(stage)
            if is_cut:
                server.peers[0].end()
            assert eventually(lambda: program.log.count("lost") > 1), program.log
            assert program.end() == code


@pytest.mark.parametrize("name", ["recovering_worker", "confirming_publisher"])
def test_a_recovering_program_gives_up_only_what_no_retry_can_mend(broker: Broker, name: str) -> None:
    with started(name, "amqp://guest:guest@nowhere.invalid", MANY) as program:
        assert eventually(lambda: program.log.count("lost") > 1)
        program.end(signal.SIGKILL)
    with started(name, re.sub(r":[^:@]*@", ":wrong@", broker.url), MANY) as program:
        assert program.exit_code() == 1
