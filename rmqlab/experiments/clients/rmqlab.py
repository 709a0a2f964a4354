"""What this package offers: `Publisher` and `Consumer`."""

from __future__ import annotations

import itertools
from time import perf_counter

from rmqlab.amqp import Consumer, Publisher, ack_every, confirm_window
from rmqlab.experiments.clients.job import ACK_EVERY, PREFETCH, WINDOW, ClientJob

IDLE_S = 30


def publish_window(job: ClientJob) -> float:
    """`publish`, a call a message, as in a program whose messages come one by one."""
    with _publisher(job) as publisher:
        start_s = perf_counter()
        for _ in range(job.count):
            publisher.publish(job.body)
        publisher.flush()
        return perf_counter() - start_s


def publish_all(job: ClientJob) -> float:
    """`publish_all`: all messages in one call, so that many are sent together."""
    with _publisher(job) as publisher:
        bodies = itertools.repeat(job.body, job.count)
        start_s = perf_counter()
        publisher.publish_all(bodies)
        publisher.flush()
        return perf_counter() - start_s


def consume(job: ClientJob) -> float:
    """`Consumer.run`."""
    with Consumer(job.url, job.queue, ack=ack_every(ACK_EVERY), prefetch_count=PREFETCH) as consumer:
        start_s = perf_counter()
        consumer.run(count=job.count, idle_s=IDLE_S)
        return perf_counter() - start_s


def _publisher(job: ClientJob) -> Publisher:
    return Publisher(job.url, routing_key=job.queue, confirms=confirm_window(WINDOW))
