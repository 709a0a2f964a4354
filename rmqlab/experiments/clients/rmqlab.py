"""What this package offers: `Publisher` and `Consumer`."""

from __future__ import annotations

import itertools
from time import perf_counter

from rmqlab.amqp import Confirms, Consumer, Publisher, ack_every, confirm_each, confirm_window
from rmqlab.experiments.clients.workload import ACK_EVERY, PREFETCH, Workload

IDLE_S = 30


def publish_confirm_each(workload: Workload) -> float:
    """`publish`, a call a message, each waiting for its confirm."""
    return _publish_one_by_one(workload, confirm_each())


def publish_window(workload: Workload) -> float:
    """`publish`, a call a message, as in a program whose messages come one by one."""
    return _publish_one_by_one(workload, confirm_window(workload.window))


def publish_all(workload: Workload) -> float:
    """`publish_all`: all messages in one call, so that many are sent together."""
    confirms = confirm_window(workload.window)
    with Publisher(workload.url, routing_key=workload.queue, confirms=confirms) as publisher:
        body = workload.body
        start_s = perf_counter()
        publisher.publish_all(itertools.repeat(body, workload.count))
        publisher.flush()
        return perf_counter() - start_s


def consume(workload: Workload) -> float:
    """`Consumer.run`."""
    with Consumer(
        workload.url, workload.queue, ack=ack_every(ACK_EVERY), prefetch_count=PREFETCH
    ) as consumer:
        start_s = perf_counter()
        consumer.run(count=workload.count, idle_s=IDLE_S)
        return perf_counter() - start_s


def _publish_one_by_one(workload: Workload, confirms: Confirms) -> float:
    with Publisher(workload.url, routing_key=workload.queue, confirms=confirms) as publisher:
        body = workload.body
        start_s = perf_counter()
        for _ in range(workload.count):
            publisher.publish(body)
        publisher.flush()
        return perf_counter() - start_s
