"""Consumers that crash on purpose: what comes back, and what is left of them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

import pika
import pytest

from rmqlab import names
from rmqlab.amqp import Consumer, Crash, Publisher, Recovery, ack_each, ack_every, auto_ack, connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import crash_consumer
from rmqlab.experiments._acknowledgement import _Work
from rmqlab.measure import Ledger, Load, publish_load

QUEUE = "rmqlab-test-crash"
COUNT = 30


@pytest.fixture
def load(broker: Broker) -> Iterator[Load]:
    """A load that waits in the queue, as its only messages."""
    load = Load(count=COUNT)
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True)
        with Publisher(broker, routing_key=QUEUE) as publisher:
            publish_load(publisher, load)
        yield load
        channel.queue_delete(QUEUE)


pytestmark = pytest.mark.usefixtures("no_thread_stays")


class Work:
    """Work that notes what it is done with, and crashes with the message of one number."""

    def __init__(self, load: Load, crash_with: int | None) -> None:
        self.done: list[int] = []
        self.crash_with = crash_with
        self.identify = load.identify

    def __call__(self, _: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
        number = self.identify(properties, body)
        if number == self.crash_with:
            raise Crash
        self.done.append(number)


def _crash(broker: Broker, load: Load, ledger: Ledger, at: int = 20, **options) -> Work:
    work = Work(load, at)
    recorder = ledger.consumer("first", identify=load.identify)
    with Consumer(broker, QUEUE, work, observer=recorder, **options) as consumer, pytest.raises(Crash):
        consumer.run(for_s=30)
    return work


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(("every", "acked"), [(1, 20), (7, 14), (100, 0)])
def test_what_was_not_acknowledged_is_delivered_again(broker, load, threaded, every, acked) -> None:
    ledger = Ledger()
    work = _crash(broker, load, ledger, ack=ack_every(every), prefetch_count=100, threaded=threaded)

    assert work.done == list(range(20))
    assert ledger.totals().acked == acked
    broker.wait_for_queue(QUEUE, ready=COUNT - acked, consumers=0)
    again = Work(load, None)
    recorder = ledger.consumer("second", identify=load.identify)
    with Consumer(broker, QUEUE, again, ack=ack_each(), observer=recorder) as consumer:
        consumer.run(count=COUNT - acked, for_s=30)
    assert again.done == list(range(acked, COUNT))
    totals = ledger.totals()
    assert (totals.acked, totals.redelivered) == (COUNT, COUNT - acked)
    broker.wait_for_queue(QUEUE, ready=0)


def test_a_message_of_somebody_else_is_not_counted_as_work() -> None:
    work = _Work(Load(count=5), crash_at=4)
    work(None, pika.BasicProperties(), b"somebody else's")

    assert work.counts.tolist() == [0] * 5


@pytest.mark.parametrize("threaded", [False, True])
def test_with_automatic_acknowledgement_what_it_held_is_gone(broker, load, threaded) -> None:
    work = _crash(broker, load, Ledger(), ack=auto_ack(), prefetch_count=0, threaded=threaded)

    assert work.done == list(range(20))
    broker.wait_for_queue(QUEUE, ready=0, consumers=0)


def test_only_what_it_was_handed_is_flagged(broker, load) -> None:
    ledger = Ledger()
    _crash(broker, load, ledger, at=0, prefetch_count=4, threaded=True)
    broker.wait_for_queue(QUEUE, ready=COUNT)
    with Consumer(broker, QUEUE, observer=ledger.consumer("second", identify=load.identify)) as consumer:
        consumer.run(count=COUNT, for_s=30)

    assert ledger.totals().redelivered == 4


@pytest.mark.parametrize("threaded", [False, True])
def test_what_failed_before_the_crash_was_settled(broker, load, threaded, caplog) -> None:
    def fail_then_crash(_method, properties, body) -> None:
        if load.identify(properties, body) == 5:
            raise Crash
        raise RuntimeError("broken")

    with (
        Consumer(broker, QUEUE, fail_then_crash, on_failure="reject", threaded=threaded) as consumer,
        pytest.raises(Crash),
    ):
        consumer.run(for_s=30)

    broker.wait_for_queue(QUEUE, ready=COUNT - 5, consumers=0)


@pytest.mark.parametrize("threaded", [False, True])
def test_closing_after_a_crash_is_safe_and_quick(broker, load, threaded) -> None:
    consumer = Consumer(broker, QUEUE, Work(load, 0), threaded=threaded)
    with pytest.raises(Crash):
        consumer.run(for_s=30)

    started_s = time.monotonic()
    consumer.stop()
    consumer.close()
    consumer.close()
    assert time.monotonic() - started_s < 5


def test_a_consumer_that_would_recover_does_not_recover_from_its_own_crash(broker, load) -> None:
    with Consumer(broker, QUEUE, Work(load, 3), recovery=Recovery()) as consumer, pytest.raises(Crash):
        consumer.run(for_s=30)

    broker.wait_for_queue(QUEUE, ready=COUNT - 3, consumers=0)


def test_a_worker_crashes_like_any_consumer(broker) -> None:
    done: list[str] = []

    def work(task: Task) -> None:
        if task.action == "crash" and not done.count("process") > 1:
            raise Crash
        done.append(task.action)

    with EngineAPI(broker) as api:
        for action in ("process", "crash", "process"):
            api.publish_task(Task("engine-1", action))
    with EngineWorker(broker, work) as worker, pytest.raises(Crash):
        worker.run(for_s=30)

    assert done == ["process"]
    broker.wait_for_queue(names.TASKS, ready=2, consumers=0)
    with EngineWorker(broker, lambda task: done.append(task.action)) as worker:
        worker.run(count=2, for_s=30)
    assert done == ["process", "crash", "process"]


@pytest.mark.parametrize(("every", "most"), [(1, 0), (10, 9), (100, 99)])
def test_a_crash_repeats_less_than_one_acknowledgement_covers(broker, every, most) -> None:
    row = crash_consumer(broker, Load(count=400), ack=ack_every(every), prefetch_count=150, crash_at=299)

    assert row["published"] == row["acked"] == 400
    assert row["repeated"] <= most  # fewer where a slow broker made it acknowledge before its time
    assert row["redelivered"] >= row["repeated"]
    assert row["acked_msg_s"] > 0
    assert row["ack"] == f"every {every}"
    assert row["rabbitmq"] == broker.version


def test_a_crash_with_automatic_acknowledgement_cannot_be_made_up_for(broker) -> None:
    with pytest.raises(BrokerError, match=r"Only .* of 50 messages.*Next: "):
        crash_consumer(broker, Load(count=50), ack=auto_ack(), prefetch_count=0, crash_at=10, timeout_s=1)


def test_a_consumer_that_crashes_before_its_first_acknowledgement_has_no_rate(broker) -> None:
    row = crash_consumer(broker, Load(count=100), ack=ack_every(90), prefetch_count=90, crash_at=50)

    assert row["acked"] == 100
    assert row["repeated"] <= 50
    assert math.isnan(row["acked_msg_s"]) or row["repeated"] < 50


@pytest.mark.parametrize("crash_at", [0, 50])
def test_a_crash_is_within_the_load(broker, crash_at) -> None:
    with pytest.raises(ValueError, match="crash_at"):
        crash_consumer(broker, Load(count=50), ack=ack_each(), prefetch_count=1, crash_at=crash_at)
