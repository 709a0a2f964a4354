"""What this package offers: `Publisher` and `Consumer`."""

from __future__ import annotations

import itertools
from time import perf_counter

from rmqlab.amqp import Confirms, Consumer, Publisher, ack_every, confirm_each, confirm_window
from rmqlab.experiments.clients.job import ACK_EVERY, PREFETCH, ClientJob

IDLE_S = 30


def publish_confirm_each(job: ClientJob) -> float:
    """`publish`, a call a message, each waiting for its confirm."""
    return _publish_one_by_one(job, confirm_each())


def publish_window(job: ClientJob) -> float:
    """`publish`, a call a message, as in a program whose messages come one by one."""
    return _publish_one_by_one(job, confirm_window(job.window))


def publish_all(job: ClientJob) -> float:
    """`publish_all`: all messages in one call, so that many are sent together."""
    confirms = confirm_window(job.window)
    with Publisher(job.url, routing_key=job.queue, confirms=confirms) as publisher:
        body = job.body
        start_s = perf_counter()
        publisher.publish_all(itertools.repeat(body, job.count))
        publisher.flush()
        return perf_counter() - start_s


def consume(job: ClientJob) -> float:
    """`Consumer.run`."""
    with Consumer(job.url, job.queue, ack=ack_every(ACK_EVERY), prefetch_count=PREFETCH) as consumer:
        start_s = perf_counter()
        consumer.run(count=job.count, idle_s=IDLE_S)
        return perf_counter() - start_s


def _publish_one_by_one(job: ClientJob, confirms: Confirms) -> float:
    with Publisher(job.url, routing_key=job.queue, confirms=confirms) as publisher:
        body = job.body
        start_s = perf_counter()
        for _ in range(job.count):
            publisher.publish(body)
        publisher.flush()
        return perf_counter() - start_s
