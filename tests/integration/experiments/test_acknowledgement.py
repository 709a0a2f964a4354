"""Consumers that crash on purpose: what comes back, and what is left of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from helpers import QUEUE

from rmqlab.amqp import Consumer, Crash, Publisher, Recovery, ack_each, ack_every
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.experiments import AckBatchesConfig, crash_before, measure_ack_batches
from rmqlab.measure import Ledger, Load, publish_load

COUNT = 30

pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.fixture
def load(broker: Broker, queue: str) -> Load:
    """A load that waits in the queue, as its only messages."""
    load = Load(count=COUNT)
    with Publisher(broker, routing_key=queue) as publisher:
        publish_load(publisher, load)
    return load


@pytest.mark.parametrize("options", [{}, {"threaded": True}, {"recovery": Recovery()}], ids=str)
@pytest.mark.parametrize(("ack", "acked"), [(ack_each(), 20), (ack_every(7), 14), (ack_every(100), 0)])
def test_what_was_not_acknowledged_is_delivered_again(broker, load, options, ack, acked) -> None:
    ledger, done = Ledger(), []
    publishing = ledger.publisher()
    for number in range(COUNT):
        publishing.published(number)
    first, second = (ledger.consumer(name, identify=load.identify) for name in ("first", "second"))

    def work(message: tuple[Any, ...]) -> None:
        done.append(load.identify(*message[1:]))

    crash = crash_before(work, 21)
    options = {"ack": ack, "prefetch_count": 100, "observer": first, **options}
    with Consumer(broker, QUEUE, lambda *message: crash(message), **options) as consumer:
        with pytest.raises(Crash):
            consumer.run(for_s=30)

    assert done == list(range(20))
    assert ledger.totals().acked == acked
    broker.wait_for_queue(QUEUE, ready=COUNT - acked, consumers=0)
    with Consumer(broker, QUEUE, lambda *message: work(message), observer=second) as consumer:
        consumer.run(count=COUNT - acked, for_s=30)
    assert done[20:] == list(range(acked, COUNT))
    totals = ledger.totals()
    assert (totals.acked, totals.redelivered) == (COUNT, COUNT - acked)


@pytest.mark.parametrize("threaded", [False, True])
def test_what_failed_before_the_crash_was_settled_and_closing_is_quick(
    broker, load, threaded, caplog
) -> None:
    def fail_then_crash(_method: Any, properties: Any, body: bytes) -> None:
        if load.identify(properties, body) == 5:
            raise Crash
        raise RuntimeError("broken")

    consumer = Consumer(broker, QUEUE, fail_then_crash, on_failure="reject", threaded=threaded)
    with pytest.raises(Crash):
        consumer.run(for_s=30)

    started_s = time.monotonic()
    consumer.stop()
    consumer.close()
    consumer.close()
    assert time.monotonic() - started_s < 5
    broker.wait_for_queue(QUEUE, ready=COUNT - 5, consumers=0)


def test_a_crash_repeats_less_than_one_acknowledgement_covers(broker) -> None:
    config = AckBatchesConfig(
        load=Load(count=400), batches=(1, 10, 100), prefetch_count=150, crash_at=299, repeats=2
    )
    result = measure_ack_batches(broker, config, progress=False)

    frame = result.frame()
    assert list(frame["n"]) == [1, 10, 100] * 2
    assert (frame[["published", "acked"]] == 400).all(axis=None)
    assert (frame["repeated"] < frame["n"]).all()  # fewer where a slow broker made it acknowledge early
    assert (frame["redelivered"] >= frame["repeated"]).all()
    assert (frame["acked_msg_s"] > 0).all()
    assert (frame["rabbitmq"] == broker.version).all()
    assert len(result.plot().axes) == 2


def test_what_is_not_done_within_the_time_limit_is_an_error(broker) -> None:
    config = AckBatchesConfig(load=Load(count=2000), timeout_s=0, batches=[1], crash_at=1500)

    with pytest.raises(BrokerError, match=r"Only .* of 2000.*Next: "):
        measure_ack_batches(broker, config, progress=False)
