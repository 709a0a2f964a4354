"""py-amqp, the library below Celery and kombu.

Source: https://docs.celeryq.dev/projects/amqp/en/latest/
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pika

from rmqlab.experiments.clients.job import PREFETCH, WINDOW, ClientJob, Unconfirmed

TIMEOUT_S = 30


def publish_confirm_each(job: ClientJob) -> float:
    """`confirm_publish=True`: each publish waits for its confirm."""
    import amqp

    with _connect(job.url, confirm_publish=True) as connection:
        channel = connection.channel()
        message = amqp.Message(job.body, delivery_mode=2)
        start_s = perf_counter()
        for _ in range(job.count):
            channel.basic_publish(message, routing_key=job.queue, confirm_timeout=TIMEOUT_S)
        return perf_counter() - start_s


def publish_window(job: ClientJob) -> float:
    """`confirm_select`, and `drain_events` for the channel's `basic_ack` while the window is full."""
    import amqp

    unconfirmed = Unconfirmed()
    with _connect(job.url) as connection:
        channel = connection.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(unconfirmed.confirm)
        message = amqp.Message(job.body, delivery_mode=2)
        start_s = perf_counter()
        for tag in range(1, job.count + 1):
            while len(unconfirmed) >= WINDOW:
                connection.drain_events(timeout=TIMEOUT_S)
            channel.basic_publish(message, routing_key=job.queue)
            unconfirmed.add(tag)
        while unconfirmed:
            connection.drain_events(timeout=TIMEOUT_S)
        return perf_counter() - start_s


def consume(job: ClientJob) -> float:
    """`basic_consume` with a callback, and `drain_events`."""
    received = 0

    def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if job.is_ack_due(received):
            channel.basic_ack(message.delivery_tag, multiple=True)

    with _connect(job.url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_size=0, prefetch_count=PREFETCH, a_global=False)
        start_s = perf_counter()
        channel.basic_consume(job.queue, callback=on_message)
        while received < job.count:
            connection.drain_events(timeout=TIMEOUT_S)
        return perf_counter() - start_s


def _connect(url: str, **options: Any) -> Any:
    """Return a connection that a `with` block opens and closes; py-amqp reads no URLs."""
    import amqp

    parameters = pika.URLParameters(url)
    return amqp.Connection(
        host=f"{parameters.host}:{parameters.port}",
        userid=parameters.credentials.username,
        password=parameters.credentials.password,
        virtual_host=parameters.virtual_host,
        ssl=parameters.ssl_options is not None,
        connect_timeout=TIMEOUT_S,
        **options,
    )
