"""The consumer against a real broker: what is settled, how, and when it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import QUEUE

from rmqlab.amqp import Consumer, ack_each, ack_every, auto_ack
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError, ChannelClosedError, RejectError
from rmqlab.measure import Ledger
from rmqlab.measure._recorders import ACKED, REJECTED, ConsumeRecorder

WAIT_S = 20  # for an event that is under way; never waited out when all is well


@pytest.fixture
def fill(channel, queue: str) -> Callable[[int], list[bytes]]:
    def fill(count: int) -> list[bytes]:
        bodies = [str(number).encode() for number in range(count)]
        for body in bodies:
            channel.basic_publish("", queue, body)
        return bodies

    return fill


def _left(broker: Broker, count: int) -> None:
    broker.wait_for_queue(QUEUE, ready=count, consumers=0)


def _settlements(recorder: ConsumeRecorder) -> int:
    """How often a consumer settled something; what it settled at once has one time."""
    return len(np.unique(recorder.rows()["settled_ns"]))


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    ("ack", "prefetch_count"),
    [(ack_each(), 1), (ack_each(), 0), (ack_every(7), 10), (ack_every(100), 100), (auto_ack(), 0)],
    ids=str,
)
def test_every_message_is_taken_once_and_in_order(broker, fill, ack, prefetch_count, threaded) -> None:
    bodies = fill(50)
    recorder = Ledger().consumer()
    taken: list[bytes] = []
    with Consumer(
        broker,
        QUEUE,
        lambda _method, _properties, body: taken.append(body),
        ack=ack,
        prefetch_count=prefetch_count,
        threaded=threaded,
        observer=recorder,
    ) as consumer:
        assert consumer.run(count=50) == 50

    assert taken == bodies
    _left(broker, 0)
    assert recorder.rows()["outcome"].tolist() == [ACKED] * 50
    assert _settlements(recorder) == -(-50 // (ack.every or 1))


def test_a_count_leaves_the_rest_and_a_second_run_goes_on(broker, fill) -> None:
    bodies = fill(10)
    taken: list[bytes] = []
    with Consumer(
        broker, QUEUE, lambda *message: taken.append(message[2]), ack=ack_every(2), prefetch_count=10
    ) as consumer:
        assert consumer.run(count=3) == 3
        broker.wait_for_queue(QUEUE, ready=7)
        assert consumer.run(count=4) == 4

    assert taken == bodies[:7]
    _left(broker, 3)


@pytest.mark.parametrize("threaded", [False, True])
def test_failures_are_requeued_or_rejected_amid_multiple_acks(broker, fill, caplog, threaded) -> None:
    fill(20)
    recorder = Ledger().consumer()

    def work(_method, _properties, body: bytes) -> None:
        if body in (b"3", b"9"):
            raise RejectError("unwanted")
        if body == b"5":
            raise RuntimeError("broken")

    with (
        caplog.at_level(logging.ERROR, "rmqlab"),
        Consumer(
            broker,
            QUEUE,
            work,
            ack=ack_every(5),
            on_failure="reject",
            prefetch_count=20,
            observer=recorder,
            threaded=threaded,
        ) as consumer,
    ):
        consumer.run(count=20)

    expected = [REJECTED if tag in (4, 6, 10) else ACKED for tag in range(1, 21)]
    assert recorder.rows()["outcome"].tolist() == expected
    assert caplog.text.count("rejected: unwanted") == 2
    assert "broken" in caplog.text
    _left(broker, 0)


def test_a_few_messages_are_acknowledged_though_more_would_be_needed(broker, fill) -> None:
    fill(3)
    recorder = Ledger().consumer()

    settled = recorder.settled

    def stop_when_settled(*what: Any) -> None:
        settled(*what)
        consumer.stop()

    recorder.settled = stop_when_settled
    with Consumer(broker, QUEUE, ack=ack_every(100), prefetch_count=100, observer=recorder) as consumer:
        started_s = time.monotonic()
        assert consumer.run(for_s=WAIT_S) == 3
        assert time.monotonic() - started_s < WAIT_S

    assert recorder.rows()["outcome"].tolist() == [ACKED] * 3
    assert _settlements(recorder) == 1
    _left(broker, 0)


def test_it_ends_when_idle_and_when_time_is_up(broker, fill) -> None:
    fill(3)
    with Consumer(broker, QUEUE, ack=ack_each()) as consumer:
        assert consumer.run(idle_s=0.2) == 3
        started = time.monotonic()
        assert consumer.run(for_s=0.2) == 0
        assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("threaded", [False, True])
def test_stop_ends_it_and_gives_back_what_was_not_taken(broker, fill, threaded) -> None:
    fill(10)

    def stop_from_another_thread(*_: object) -> None:
        stopper = threading.Thread(target=consumer.stop)
        stopper.start()
        stopper.join(WAIT_S)

    with Consumer(broker, QUEUE, stop_from_another_thread, prefetch_count=5, threaded=threaded) as consumer:
        assert consumer.run(for_s=WAIT_S) == 1

    _left(broker, 9)


def test_stop_before_run_returns_at_once(broker, fill) -> None:
    fill(1)
    with Consumer(broker, QUEUE) as consumer:
        consumer.stop()
        assert consumer.run() == 0
    _left(broker, 1)


def test_heartbeats_are_answered_while_a_threaded_task_takes_long(broker, fill) -> None:
    fill(2)
    url = f"{broker.url}?heartbeat=1"
    done: list[bytes] = []

    def outlast_three_heartbeats(_method, _properties, body: bytes) -> None:
        if body == b"0":
            threading.Event().wait(3.5)
        done.append(body)

    with Consumer(url, QUEUE, outlast_three_heartbeats, prefetch_count=1, threaded=True) as consumer:
        assert consumer.run(count=2) == 2

    assert done == [b"0", b"1"]
    _left(broker, 0)


def test_a_deleted_queue_is_an_error_and_not_a_quiet_end(broker, fill, channel) -> None:
    fill(1)
    with (
        Consumer(broker, QUEUE, lambda *_: channel.queue_delete(QUEUE)) as consumer,
        pytest.raises(BrokerError, match=r"cancelled by the broker after 1 messages.*Next: "),
    ):
        consumer.run()


def test_a_queue_that_is_not_there_is_a_named_error(broker) -> None:
    with (
        Consumer(broker, "nowhere") as consumer,
        pytest.raises(ChannelClosedError, match="no queue 'nowhere'"),
    ):
        consumer.run(count=1)


def test_an_unknown_policy_is_refused_before_a_connection_is_made() -> None:
    with pytest.raises(ValueError, match="one of"):
        Consumer("amqp://guest:guest@127.0.0.1:1/", "q", on_failure="forget")
