"""kombu with py-amqp: `publish(retry=True)`, which is `Connection.ensure`, and `ConsumerMixin`.

Source: https://docs.celeryq.dev/projects/kombu/en/stable/userguide/producers.html,
https://docs.celeryq.dev/projects/kombu/en/stable/userguide/consumers.html
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

# From their modules: two threads that first use kombu's lazy ones at once may meet half of one.
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from kombu.mixins import ConsumerMixin
from kombu.transport import pyamqp  # noqa: F401

from rmqlab.errors import StoppedError
from rmqlab.experiments.faults import job as settings
from rmqlab.experiments.faults.job import Job

CONNECT_TIMEOUT_S = 5
CHECK_EVERY_S = 0.5
BACK_OFF = {"interval_start": settings.WAIT_S, "interval_step": 0, "interval_max": settings.WAIT_S}


def publish(job: Job) -> None:
    """Publish each message until it is confirmed."""
    recorder, number = job.ledger.publisher(), 0
    checked_s = time.monotonic()

    def count_again(*_: object) -> None:
        job.republished += 1
        _raise_if_stopping(job)

    policy = {**BACK_OFF, "errback": partial(_raise_if_stopping, job), "on_revive": count_again}
    with contextlib.suppress(StoppedError), _connection(job) as connection:
        failures = (OperationalError, *connection.connection_errors, *connection.channel_errors)
        producer, queue = connection.Producer(), _queue(job)
        while not job.ending.is_set():
            time.sleep(settings.INTERVAL_S)
            recorder.published(number)
            while True:
                try:
                    if time.monotonic() - checked_s >= CHECK_EVERY_S:
                        checked_s = time.monotonic()
                        connection.heartbeat_check()
                    producer.publish(
                        settings.LOAD.body(number),
                        routing_key=job.queue,
                        delivery_mode=2,
                        content_type="application/data",
                        content_encoding="binary",
                        declare=[queue],
                        retry=True,
                        retry_policy=policy,
                        confirm_timeout=settings.CONFIRM_TIMEOUT_S,
                    )
                    break
                except failures:
                    # `ensure` does not recover from all, such as the broker's INTERNAL_ERROR; the
                    # next call finds the connection closed, and recovers it.
                    count_again()
            recorder.confirmed(number)
            number += 1


def consume(job: Job) -> None:
    """Acknowledge each message; the mixin begins anew, queue included, whatever was lost."""
    with contextlib.suppress(StoppedError):
        _Worker(job).run(safety_interval=CHECK_EVERY_S)


class _Worker(ConsumerMixin):
    def __init__(self, job: Job) -> None:
        self.connection = _connection(job)
        self._job = job
        # Delivery tags begin anew with each connection.
        self._recorder, self._numbers = job.ledger.consumer(), itertools.count(1)

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        return self._job.stopping.is_set()

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: ARG002, N803
        return [Consumer([_queue(self._job)], on_message=self.on_message, prefetch_count=settings.PREFETCH)]

    def on_message(self, message: Any) -> None:
        number = next(self._numbers)
        is_again = bool(message.delivery_info["redelivered"])
        self._recorder.delivered(number, is_again, None, bytes(message.body))
        message.ack()
        self._recorder.settled(number, False, "acked")

    @contextlib.contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Do what the mixin does, with the back-off of all clients: its own goes up to 30 s."""
        with self.create_connection() as connection:
            connection.ensure_connection(partial(_raise_if_stopping, self._job), **BACK_OFF)
            _raise_if_stopping(self._job)
            yield connection


def _raise_if_stopping(job: Job, *_: object) -> None:
    """Leave kombu's loops, which know no other end, in a call from them."""
    if job.stopping.is_set():
        raise StoppedError


def _queue(job: Job) -> Any:
    return Queue(job.queue, durable=True, queue_arguments={"x-queue-type": job.queue_type})


def _connection(job: Job) -> Any:
    return Connection(
        job.url,
        transport="pyamqp",
        heartbeat=settings.HEARTBEAT_S,
        connect_timeout=CONNECT_TIMEOUT_S,
        transport_options={"confirm_publish": True},
    )
