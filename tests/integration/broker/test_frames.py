"""What a broker says it holds: queues, connections and consumers."""

from __future__ import annotations

import contextlib
import dataclasses

import pandas as pd
import pytest
from helpers import eventually

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker, _frames
from rmqlab.engine import EngineAPI, Task
from rmqlab.errors import BrokerError, ManagementError

QUEUE_COLUMNS = ["name", "type", "durable", "exclusive", "ready", "unacked", "consumers"]
TASK = Task("engine-1", "process")


@pytest.fixture(autouse=True)
def _needs_management(broker: Broker) -> None:
    if broker.management_url is None:
        pytest.skip("this broker has no management API")


@pytest.fixture
def connection(broker: Broker):
    with contextlib.closing(connect(broker, name="frame-test")) as connection:
        yield connection
        connection.channel().queue_delete(names.TASKS)


@pytest.fixture
def without_management(broker: Broker):
    return dataclasses.replace(broker._running, management_url=None)


def _row(frame: pd.DataFrame, name: str) -> dict[str, object]:
    (row,) = frame[frame["name"] == name].to_dict("records")
    return row


def test_waiting_for_a_queue_has_a_limit_and_says_what_was_found(broker: Broker, connection) -> None:
    with pytest.raises(BrokerError, match=r"'engine:tasks' does not exist.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0)
    connection.channel().queue_declare(names.TASKS, durable=True)
    with pytest.raises(BrokerError, match=r"has 0 ready messages and 0 consumers.*'ready': 1.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0.1)


def test_no_queues_are_an_empty_frame_with_the_same_columns(broker: Broker) -> None:
    queues = broker.queues()

    assert len(queues) == 0
    assert list(queues.columns) == QUEUE_COLUMNS


def test_ready_and_consumers_are_those_of_the_moment(broker: Broker, connection) -> None:
    with EngineAPI(broker) as api:
        for _ in range(5):
            api.publish_task(TASK)
    before = _row(broker.wait_for_queue(names.TASKS, ready=5), names.TASKS)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=2)
    channel.basic_consume(names.TASKS, lambda *_: None)
    after = _row(broker.wait_for_queue(names.TASKS, ready=3), names.TASKS)

    assert (before["ready"], before["consumers"]) == (5, 0)
    assert (after["ready"], after["consumers"]) == (3, 1)
    assert before["durable"] is True
    assert before["exclusive"] is False
    assert before["type"] == "classic"


def test_unacked_follows_within_a_few_seconds(broker: Broker, connection) -> None:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(names.TASKS, durable=True)
    channel.basic_publish("", names.TASKS, b"x")
    channel.basic_get(names.TASKS)

    assert eventually(lambda: _row(broker.queues(), names.TASKS)["unacked"] == 1)


def test_queues_come_sorted_by_name(broker: Broker, connection) -> None:
    channel = connection.channel()
    for name in ("b", "a", "c"):
        channel.queue_declare(name, durable=True)
    listed = list(broker.queues()["name"])
    for name in listed:
        channel.queue_delete(name)

    assert listed == ["a", "b", "c"]


def test_an_exclusive_queue_of_another_connection_is_shown_all_the_same(broker: Broker, connection) -> None:
    channel = connection.channel()
    channel.queue_declare(names.TASKS, durable=True)
    channel.queue_declare("private", exclusive=True)

    queues = broker.queues()

    assert list(queues["name"]) == [names.TASKS, "private"]
    assert _row(queues, "private")["exclusive"] is True


def test_consumers_are_listed_with_their_prefetch(broker: Broker, connection) -> None:
    channel = connection.channel()
    channel.queue_declare(names.TASKS, durable=True)
    channel.basic_qos(prefetch_count=7)
    channel.basic_consume(names.TASKS, lambda *_: None, consumer_tag="tag-1")

    assert eventually(lambda: len(broker.consumers()) == 1)
    assert broker.consumers().to_dict("records") == [
        {"queue": names.TASKS, "consumer_tag": "tag-1", "prefetch": 7, "ack_required": True, "active": True}
    ]


def test_connections_are_listed_by_their_name(broker: Broker, connection) -> None:
    def state() -> list[str | None]:
        frame = broker.connections()
        return list(frame[frame["client"] == "frame-test"]["state"])

    assert list(broker.connections().columns) == ["client", "user", "state", "channels", "heartbeat_s"]
    assert eventually(lambda: state() == ["running"])  # of a new one the broker knows no state


def test_no_consumers_and_no_connections_are_empty_frames(broker: Broker) -> None:
    assert eventually(lambda: len(broker.connections()) == 0)
    assert len(broker.consumers()) == 0
    assert list(broker.consumers().columns) == [
        "queue",
        "consumer_tag",
        "prefetch",
        "ack_required",
        "active",
    ]


def test_without_management_the_engines_queue_is_still_shown(connection, without_management) -> None:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(names.TASKS, durable=True)
    channel.queue_declare("other", exclusive=True)
    channel.basic_publish("", names.TASKS, b"x")

    queues = _frames.queues(without_management)

    assert list(queues.columns) == QUEUE_COLUMNS
    assert list(queues["name"]) == [names.TASKS]
    row = _row(queues, names.TASKS)
    assert (row["ready"], row["consumers"]) == (1, 0)
    assert pd.isna(row["unacked"])


def test_only_the_queues_that_are_asked_for_are_shown(broker: Broker, connection) -> None:
    channel = connection.channel()
    channel.queue_declare(names.TASKS, durable=True)
    channel.queue_declare("other", exclusive=True)

    assert list(_frames.queues(broker._running, {names.TASKS, "missing"})["name"]) == [names.TASKS]


def test_without_management_a_queue_that_is_not_there_is_no_row(without_management) -> None:
    assert len(_frames.queues(without_management)) == 0


@pytest.mark.parametrize("frame", [_frames.connections, _frames.consumers])
def test_without_management_connections_and_consumers_cannot_be_listed(frame, without_management) -> None:
    with pytest.raises(ManagementError, match=r"no management API.*Next: .*RMQLAB_MANAGEMENT_URL"):
        frame(without_management)
