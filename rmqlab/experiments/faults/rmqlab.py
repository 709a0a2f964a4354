"""What this package offers: `Publisher` and `Consumer` with a `Recovery`."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque

import pika

from rmqlab.amqp import Consumer, Publisher, Recovery, confirm_each, confirm_window
from rmqlab.errors import StoppedError
from rmqlab.experiments.faults import job as settings
from rmqlab.experiments.faults.job import Job

RECOVERY = Recovery(
    first_wait_s=settings.WAIT_S, longest_wait_s=settings.WAIT_S, heartbeat_s=settings.HEARTBEAT_S
)


def publish(job: Job) -> None:
    """Publish each message until it is confirmed, a window at a time."""
    observer = _PublishObserver(job)
    publisher = Publisher(
        job.url,
        routing_key=job.queue,
        confirms=confirm_each() if job.window == 1 else confirm_window(job.window),
        topology=job.topology,
        recovery=RECOVERY,
        observer=observer,
    )
    job.at_stop(publisher.stop)
    numbers, again = itertools.count(), 0
    try:
        with contextlib.suppress(StoppedError), publisher:
            while True:
                if job.ending.is_set():
                    publisher.flush()
                    if not observer.nacks:
                        break
                publisher.wait(settings.INTERVAL_S)
                again += bool(observer.nacks)
                observer.message = observer.nacks.popleft() if observer.nacks else next(numbers)
                publisher.publish(settings.LOAD.body(observer.message))
    finally:
        job.republished = publisher.republished + again


def consume(job: Job) -> None:
    """Acknowledge each message, and declare the queue again where it is gone."""
    with Consumer(
        job.url,
        job.queue,
        prefetch_count=settings.PREFETCH,
        topology=job.topology,
        recovery=RECOVERY,
        observer=job.ledger.consumer(),
    ) as consumer:
        job.at_stop(consumer.stop)
        consumer.run()


class _PublishObserver:
    """Notes each message in the ledger, and keeps those that the broker refused (`basic.nack`).

    A broker that loses the queue refuses what it was about to put there. The application decides
    what to do then. This one publishes again.
    """

    def __init__(self, job: Job) -> None:
        self._recorder = job.ledger.publisher()
        self._messages: list[int] = []  # of each number of the publisher
        self.message = 0  # that is being published
        self.nacks: deque[int] = deque()

    def published(self, number: int) -> None:  # noqa: ARG002
        self._messages.append(self.message)
        self._recorder.published(self.message)

    def confirmed(self, number: int) -> None:
        self._recorder.confirmed(self._messages[number])

    def nacked(self, number: int) -> None:
        self.nacks.append(self._messages[number])

    def returned(self, properties: pika.BasicProperties, body: bytes) -> None:
        self._recorder.returned(properties, body)
