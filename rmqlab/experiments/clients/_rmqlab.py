"""What this package offers: `Publisher` and `Consumer`."""

from __future__ import annotations

import itertools

from rmqlab.amqp import Confirms, Consumer, Publisher, ack_every, confirm_each, confirm_window
from rmqlab.experiments.clients._model import Stopwatch, Workload

IDLE_S = 30


def publish_confirm_each(workload: Workload, stopwatch: Stopwatch) -> None:
    """`publish`, a call a message, each waiting for its confirm."""
    _publish_one_by_one(workload, stopwatch, confirm_each())


def publish_window(workload: Workload, stopwatch: Stopwatch) -> None:
    """`publish`, a call a message, as a program does whose messages come one by one."""
    _publish_one_by_one(workload, stopwatch, confirm_window(workload.window))


def publish_all(workload: Workload, stopwatch: Stopwatch) -> None:
    """`publish_all`: all messages in one call, so that many are sent in one piece."""
    with _publisher(workload, confirm_window(workload.window)) as publisher:
        body = workload.body
        with stopwatch:
            publisher.publish_all(itertools.repeat(body, workload.count))
            publisher.flush()


def consume(workload: Workload, stopwatch: Stopwatch) -> None:
    """`Consumer.run`."""
    consumer = Consumer(
        workload.url, workload.queue, ack=ack_every(workload.ack_every), prefetch_count=workload.prefetch
    )
    with consumer, stopwatch:
        consumer.run(count=workload.count, idle_s=IDLE_S)


def _publish_one_by_one(workload: Workload, stopwatch: Stopwatch, confirms: Confirms) -> None:
    with _publisher(workload, confirms) as publisher:
        body = workload.body
        with stopwatch:
            for _ in range(workload.count):
                publisher.publish(body)
            publisher.flush()


def _publisher(workload: Workload, confirms: Confirms) -> Publisher:
    return Publisher(workload.url, routing_key=workload.queue, confirms=confirms)
