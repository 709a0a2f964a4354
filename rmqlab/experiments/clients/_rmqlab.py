"""What this package offers: `Publisher` and `Consumer`."""

from __future__ import annotations

import itertools

from rmqlab.amqp import (
    Acks,
    Confirms,
    Consumer,
    Publisher,
    ack_each,
    ack_every,
    auto_ack,
    confirm_batch,
    confirm_each,
    confirm_window,
    fire_and_forget,
)
from rmqlab.experiments.clients._model import BenchError, Stopwatch, Workload
from rmqlab.experiments.clients._pika import check_received
from rmqlab.measure import Ledger, Load, publish_load

IDLE_S = 30


def publish(order: Workload, stopwatch: Stopwatch, *, confirms: str, size: int = 0) -> None:
    """Publish with one of its strategies, all messages in one call.

    Args:
        order: what to publish.
        stopwatch: times it.
        confirms: `none`, `each`, `batch` or `window`.
        size: of a batch or a window, in messages.
    """
    with Publisher(order.url, routing_key=order.queue, confirms=_confirms(confirms, size)) as publisher:
        body = order.body
        with stopwatch:
            publisher.publish_all(itertools.repeat(body, order.count))
            publisher.flush()


def publish_one_by_one(order: Workload, stopwatch: Stopwatch, *, confirms: str, size: int = 0) -> None:
    """Publish with a call a message, as a program does whose messages come one by one."""
    with Publisher(order.url, routing_key=order.queue, confirms=_confirms(confirms, size)) as publisher:
        body = order.body
        with stopwatch:
            for _ in range(order.count):
                publisher.publish(body)
            publisher.flush()


def consume(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """Consume; `ack` is `auto` or the number of messages that one acknowledgement covers."""
    with Consumer(order.url, order.queue, ack=_acks(ack), prefetch_count=prefetch) as consumer, stopwatch:
        received = consumer.run(count=order.count, idle_s=IDLE_S)
    check_received(received, order.count)


def publish_with_ledger(order: Workload, stopwatch: Stopwatch, *, confirms: str, size: int = 0) -> None:
    """Publish as `publish` does, number and time in each body, and note it in a ledger."""
    ledger = Ledger()
    with Publisher(
        order.url,
        routing_key=order.queue,
        confirms=_confirms(confirms, size),
        observer=ledger.publisher(),
    ) as publisher:
        load = Load(order.count, order.body_bytes)
        with stopwatch:
            publish_load(publisher, load)
    _check_noted(ledger.totals().confirmed, order.count)


def consume_with_ledger(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """Consume as `consume` does, and note it in a ledger."""
    ledger = Ledger()
    with (
        Consumer(
            order.url, order.queue, ack=_acks(ack), prefetch_count=prefetch, observer=ledger.consumer()
        ) as consumer,
        stopwatch,
    ):
        received = consumer.run(count=order.count, idle_s=IDLE_S)
    check_received(received, order.count)
    _check_noted(ledger.totals().acked, order.count)


def fill(url: str, queue: str, count: int, body_bytes: int) -> None:
    """Publish what consumers are to find; every message is confirmed, and so in the queue."""
    with Publisher(url, routing_key=queue, confirms=confirm_window()) as publisher:
        publish_load(publisher, Load(count, body_bytes))


def _check_noted(noted: int, count: int) -> None:
    if noted != count:
        raise BenchError(f"the ledger tells of {noted} messages, not of {count}")


def _confirms(name: str, size: int) -> Confirms:
    if name in ("batch", "window"):
        return (confirm_batch if name == "batch" else confirm_window)(size)
    return confirm_each() if name == "each" else fire_and_forget()


def _acks(ack: str) -> Acks:
    if ack == "auto":
        return auto_ack()
    return ack_each() if ack == "1" else ack_every(int(ack))
