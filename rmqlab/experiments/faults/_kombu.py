"""kombu with py-amqp: `publish(retry=True)`, which is `Connection.ensure`, and `ConsumerMixin`.

Source: https://docs.celeryq.dev/projects/kombu/en/stable/userguide/producers.html,
https://docs.celeryq.dev/projects/kombu/en/stable/userguide/consumers.html
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from rmqlab.experiments.faults._job import LONGEST_WAIT_S, PATIENCE_S, PREFETCH, Deliveries, Ended, Job, Pace

MODULES = ("amqp.connection", "kombu.connection", "kombu.mixins", "kombu.transport.pyamqp")
CONNECT_TIMEOUT_S = 5
CHECK_EVERY_S = 0.5


def publish(job: Job) -> None:
    """Publish each message until it is confirmed."""
    with contextlib.suppress(Ended), _connection(job) as connection:
        _publish(job, connection)


def consume(job: Job) -> None:
    """Acknowledge each message; the mixin begins anew, queue included, whatever was lost."""
    from kombu.mixins import ConsumerMixin

    deliveries = Deliveries(job, "consumer")

    class Worker(ConsumerMixin):
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: ARG002, N803
            return [
                Consumer(
                    queues=[_queue(job)],
                    on_message=self.on_message,
                    accept=["application/data"],
                    prefetch_count=PREFETCH,
                )
            ]

        def on_message(self, message: Any) -> None:
            body = message.body if isinstance(message.body, bytes) else bytes(message.body)
            tag = deliveries.add(bool(message.delivery_info["redelivered"]), body)
            message.ack()
            deliveries.acked(tag)

        def on_connection_error(self, exc: Exception, interval: float) -> None:  # noqa: ARG002
            job.raise_if_stopping()

        def establish_connection(self) -> Any:
            return _established(self, job)

    worker = Worker(_connection(job))

    def stop() -> None:
        worker.should_stop = True

    job.at_stop(stop)
    with contextlib.suppress(Ended):
        worker.run(safety_interval=CHECK_EVERY_S)


@contextlib.contextmanager
def _established(worker: Any, job: Job) -> Any:
    """Do what the mixin does, with the waits that all clients have: its own go up to 30 s."""
    with worker.create_connection() as connection:
        connection.ensure_connection(worker.on_connection_error, **_intervals())
        job.raise_if_stopping()
        yield connection


def _publish(job: Job, connection: Any) -> None:
    from kombu.exceptions import OperationalError

    recorder = job.ledger.publisher()
    pace = Pace(job.rate_msg_s)
    number = 0

    def on_error(*_: object) -> None:
        job.raise_if_stopping()

    def on_revive(_: object) -> None:
        job.republished += 1
        job.raise_if_stopping()

    policy = {**_intervals(), "errback": on_error, "on_revive": on_revive}
    producer, queue = connection.Producer(), _queue(job)
    checked_s = time.monotonic()
    while not job.ending.is_set():
        time.sleep(pace.wait_s())
        body = job.load.body(number)
        recorder.published(number)
        while True:
            try:
                if time.monotonic() - checked_s >= CHECK_EVERY_S:
                    checked_s = time.monotonic()
                    connection.heartbeat_check()
                producer.publish(
                    body,
                    routing_key=job.queue,
                    delivery_mode=2,
                    content_type="application/data",
                    content_encoding="binary",
                    declare=[queue],
                    retry=True,
                    retry_policy=policy,
                    confirm_timeout=PATIENCE_S,
                )
                break
            except (OperationalError, *connection.connection_errors, *connection.channel_errors):
                # What `ensure` takes for beyond recovery, such as the broker's INTERNAL_ERROR; the
                # next call finds the connection closed, and recovers it.
                job.raise_if_stopping()
                job.republished += 1
        recorder.confirmed(number, number)
        number += 1


def _queue(job: Job) -> Any:
    from kombu.entity import Queue

    return Queue(job.queue, durable=True, queue_arguments=dict(job.arguments))


def _connection(job: Job) -> Any:
    from kombu.connection import Connection

    return Connection(
        job.url,
        transport="pyamqp",
        heartbeat=job.heartbeat_s,
        connect_timeout=CONNECT_TIMEOUT_S,
        transport_options={"confirm_publish": True},
    )


def _intervals() -> dict[str, float]:
    return {"interval_start": 0, "interval_step": 0.2, "interval_max": LONGEST_WAIT_S}
