"""What a broker says of its queues."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
from helpers import eventually

from rmqlab import names
from rmqlab.broker import Broker, _frames
from rmqlab.engine import EngineAPI, Task
from rmqlab.errors import BrokerError

QUEUE_COLUMNS = ["name", "type", "durable", "exclusive", "ready", "unacked", "consumers"]
TASK = Task("engine-1", "process")


@pytest.fixture(autouse=True)
def _needs_management(broker: Broker) -> None:
    if broker.management_url is None:
        pytest.skip("this broker has no management API")


@pytest.fixture
def channel(channel):
    yield channel
    channel.queue_delete(names.TASKS)


@pytest.fixture
def without_management(broker: Broker):
    return dataclasses.replace(broker._running, management_url=None)


def _row(frame: pd.DataFrame, name: str) -> dict[str, object]:
    (row,) = frame[frame["name"] == name].to_dict("records")
    return row


def test_waiting_for_a_queue_has_a_limit_and_says_what_was_found(broker: Broker, channel) -> None:
    with pytest.raises(BrokerError, match=r"'engine:tasks' does not exist.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0)
    channel.queue_declare(names.TASKS, durable=True)
    with pytest.raises(BrokerError, match=r"has 0 ready messages and 0 consumers.*'ready': 1.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0.1)


def test_no_queues_are_an_empty_frame_with_the_same_columns(broker: Broker) -> None:
    queues = broker.queues()

    assert len(queues) == 0
    assert list(queues.columns) == QUEUE_COLUMNS


def test_ready_and_consumers_are_those_of_the_moment(broker: Broker, channel) -> None:
    with EngineAPI(broker) as api:
        for _ in range(5):
            api.publish_task(TASK)
    before = _row(broker.wait_for_queue(names.TASKS, ready=5), names.TASKS)
    channel.basic_qos(prefetch_count=2)
    channel.basic_consume(names.TASKS, lambda *_: None)
    after = _row(broker.wait_for_queue(names.TASKS, ready=3), names.TASKS)

    assert (before["ready"], before["consumers"]) == (5, 0)
    assert (after["ready"], after["consumers"]) == (3, 1)
    assert before["durable"] is True
    assert before["exclusive"] is False
    assert before["type"] == "classic"


def test_unacked_follows_within_a_few_seconds(broker: Broker, channel) -> None:
    channel.queue_declare(names.TASKS, durable=True)
    channel.basic_publish("", names.TASKS, b"x")
    channel.basic_get(names.TASKS)

    assert eventually(lambda: _row(broker.queues(), names.TASKS)["unacked"] == 1)


def test_queues_come_sorted_by_name(broker: Broker, channel) -> None:
    for name in ("b", "a", "c"):
        channel.queue_declare(name, durable=True)
    listed = list(broker.queues()["name"])
    for name in listed:
        channel.queue_delete(name)

    assert listed == ["a", "b", "c"]


def test_an_exclusive_queue_of_another_connection_is_shown_all_the_same(broker: Broker, channel) -> None:
    channel.queue_declare(names.TASKS, durable=True)
    channel.queue_declare("private", exclusive=True)

    queues = broker.queues()

    assert list(queues["name"]) == [names.TASKS, "private"]
    assert _row(queues, "private")["exclusive"] is True


def test_without_management_the_engines_queue_is_still_shown(channel, without_management) -> None:
    assert len(_frames.queues(without_management)) == 0
    channel.queue_declare(names.TASKS, durable=True)
    channel.queue_declare("other", exclusive=True)
    channel.basic_publish("", names.TASKS, b"x")

    queues = _frames.queues(without_management)

    assert list(queues.columns) == QUEUE_COLUMNS
    assert list(queues["name"]) == [names.TASKS]
    row = _row(queues, names.TASKS)
    assert (row["ready"], row["consumers"]) == (1, 0)
    assert pd.isna(row["unacked"])
