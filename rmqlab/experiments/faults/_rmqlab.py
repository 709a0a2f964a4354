"""What this package offers: `Publisher` and `Consumer` with a `Recovery`."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque

import pika

from rmqlab.amqp import Consumer, Publisher, Recovery, confirm_each, confirm_window
from rmqlab.errors import StoppedError
from rmqlab.experiments.faults import _job as settings
from rmqlab.experiments.faults._job import Job, topology_of


def publish(job: Job) -> None:
    """Publish each message until it is confirmed, a window at a time."""
    observer = _UntilConfirmed(job)
    publisher = Publisher(
        job.url,
        routing_key=job.queue,
        confirms=confirm_each() if job.window == 1 else confirm_window(job.window),
        topology=topology_of(job),
        recovery=_recovery(),
        observer=observer,
    )
    job.at_stop(publisher.stop)
    following, again = itertools.count(), 0
    try:
        with contextlib.suppress(StoppedError), publisher:
            while True:
                if job.ending.is_set():
                    publisher.flush()
                    if not observer.refused:
                        break
                publisher.wait(settings.INTERVAL_S)
                again += bool(observer.refused)
                observer.message = observer.refused.popleft() if observer.refused else next(following)
                publisher.publish(settings.LOAD.body(observer.message))
    finally:
        job.republished = publisher.republished + again


def consume(job: Job) -> None:
    """Acknowledge each message, and declare the queue again where it is gone."""
    with Consumer(
        job.url,
        job.queue,
        prefetch_count=settings.PREFETCH,
        topology=topology_of(job),
        recovery=_recovery(),
        observer=job.ledger.consumer(),
    ) as consumer:
        job.at_stop(consumer.stop)
        consumer.run()


class _UntilConfirmed:
    """Tells the ledger of each message, and keeps those that are to be published again.

    A broker that refuses a message (`basic.nack`), as it does when it loses the queue just then,
    leaves it to the application what is to become of it. This one tries again.
    """

    def __init__(self, job: Job) -> None:
        self._recorder = job.ledger.publisher()
        self._messages: list[int] = []  # of each number of the publisher
        self.message = 0  # that is being published
        self.refused: deque[int] = deque()

    def published(self, number: int) -> None:  # noqa: ARG002
        self._messages.append(self.message)
        self._recorder.published(self.message)

    def confirmed(self, first: int, last: int) -> None:
        for message in self._messages[first : last + 1]:
            self._recorder.confirmed(message, message)

    def nacked(self, first: int, last: int) -> None:
        self.refused.extend(self._messages[first : last + 1])

    def returned(self, properties: pika.BasicProperties, body: bytes) -> None:
        self._recorder.returned(properties, body)


def _recovery() -> Recovery:
    return Recovery(
        first_wait_s=settings.WAIT_S, longest_wait_s=settings.WAIT_S, heartbeat_s=settings.HEARTBEAT_S
    )
