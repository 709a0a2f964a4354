"""What a broker says it holds: queues, connections and consumers."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pandas as pd
import pytest
from helpers import assert_one_sentence, eventually

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError, ManagementError

QUEUE_COLUMNS = ["name", "type", "durable", "exclusive", "ready", "unacked", "consumers"]


@pytest.fixture(autouse=True)
def _needs_management(broker: Broker) -> None:
    if broker.management_url is None:
        pytest.skip("this broker has no management API")


def _row(frame: pd.DataFrame, name: str = names.TASKS) -> dict[str, object]:
    (row,) = frame[frame["name"] == name].to_dict("records")
    return row


def test_waiting_for_a_queue_has_a_limit_and_says_what_was_found(broker: Broker, tasks: Any) -> None:
    with pytest.raises(BrokerError, match=r"has 0 ready messages and 0 consumers.*'ready': 1.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0.1)
    tasks.queue_delete(names.TASKS)
    with pytest.raises(BrokerError, match=r"'engine:tasks' does not exist.*Next: "):
        broker.wait_for_queue(names.TASKS, ready=1, timeout_s=0)


def test_no_queues_are_an_empty_frame_with_the_same_columns(broker: Broker) -> None:
    queues = broker.queues()

    assert len(queues) == 0
    assert list(queues.columns) == QUEUE_COLUMNS


def test_ready_and_consumers_are_those_of_the_moment_and_unacked_follows(broker: Broker, tasks: Any) -> None:
    for _ in range(5):
        tasks.basic_publish("", names.TASKS, b"x")
    before = _row(broker.queues())
    tasks.basic_qos(prefetch_count=2)
    tasks.basic_consume(names.TASKS, lambda *_: None)
    after = _row(broker.wait_for_queue(names.TASKS, ready=3))

    assert (before["ready"], before["consumers"]) == (5, 0)
    assert (after["ready"], after["consumers"]) == (3, 1)
    assert (before["type"], before["durable"], before["exclusive"]) == ("classic", True, False)
    assert eventually(lambda: _row(broker.queues())["unacked"] == 2)


def test_queues_come_sorted_by_name_with_the_exclusive_ones_of_others(broker: Broker, tasks: Any) -> None:
    for name in ("other", "another"):
        tasks.queue_declare(name, exclusive=True)

    queues = broker.queues()

    assert list(queues["name"]) == ["another", names.TASKS, "other"]
    assert _row(queues, "other")["exclusive"] is True


def test_without_management_the_engines_queues_that_are_there_are_still_shown_and_nothing_else(
    broker: Broker, tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_endpoint", dataclasses.replace(broker._running, management_url=None))
    tasks.queue_declare("other", exclusive=True)
    tasks.basic_publish("", names.TASKS, b"x")

    queues = broker.queues()

    assert list(queues.columns) == QUEUE_COLUMNS
    assert list(queues["name"]) == [names.TASKS]
    row = _row(queues)
    assert (row["ready"], row["consumers"]) == (1, 0)
    assert pd.isna(row["unacked"])
    for show in (broker.connections, broker.consumers):
        with pytest.raises(ManagementError) as caught:
            show()
        assert_one_sentence(str(caught.value), "No management API", next_step="RMQLAB_MANAGEMENT_URL")


def test_consumers_are_listed_with_their_prefetch(broker: Broker, tasks: Any) -> None:
    assert list(broker.consumers().columns) == ["queue", "consumer_tag", "prefetch", "ack_required", "active"]
    tasks.basic_qos(prefetch_count=7)
    tasks.basic_consume(names.TASKS, lambda *_: None, consumer_tag="tag-1")

    assert eventually(lambda: len(broker.consumers()) == 1)
    assert broker.consumers().to_dict("records") == [
        {"queue": names.TASKS, "consumer_tag": "tag-1", "prefetch": 7, "ack_required": True, "active": True}
    ]


def test_connections_are_listed_by_their_name(broker: Broker) -> None:
    def state() -> list[str | None]:
        frame = broker.connections()
        return list(frame[frame["client"] == "listed"]["state"])

    with contextlib.closing(connect(broker, name="listed")):
        assert eventually(lambda: state() == ["running"])  # of a new one the broker knows no state
    assert list(broker.connections().columns) == ["client", "user", "state", "channels", "heartbeat_s"]
