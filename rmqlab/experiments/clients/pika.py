"""pika by hand, as in its documentation and its examples.

Source: https://pika.readthedocs.io/en/stable/examples.html
"""

from __future__ import annotations

import contextlib
from time import perf_counter
from typing import Any

import pika
from pika import spec

from rmqlab.experiments.clients.job import PREFETCH, WINDOW, ClientJob, Unconfirmed

PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


def publish_confirm_each(job: ClientJob) -> float:
    """BlockingConnection with `confirm_delivery`: each publish waits for its confirm."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(job.url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        start_s = perf_counter()
        for _ in range(job.count):
            channel.basic_publish("", job.queue, job.body, PERSISTENT)
        return perf_counter() - start_s


def publish_window(job: ClientJob) -> float:
    """SelectConnection: a window of messages unconfirmed, refilled as confirms arrive."""
    unconfirmed = Unconfirmed()
    published, start_s, end_s = 0, 0.0, 0.0

    def on_open(connection: Any) -> None:
        connection.channel(on_open_callback=on_channel_open)

    def on_channel_open(channel: Any) -> None:
        channel.confirm_delivery(
            lambda frame: on_confirm(channel, frame.method), callback=lambda _: start(channel)
        )

    def start(channel: Any) -> None:
        nonlocal start_s
        start_s = perf_counter()
        refill(channel)

    def refill(channel: Any) -> None:
        nonlocal published
        while published < job.count and len(unconfirmed) < WINDOW:
            channel.basic_publish("", job.queue, job.body, PERSISTENT)
            published += 1
            unconfirmed.add(published)

    def on_confirm(channel: Any, method: spec.Basic.Ack) -> None:
        nonlocal end_s
        unconfirmed.confirm(method.delivery_tag, method.multiple)
        if published < job.count:
            refill(channel)
        elif not unconfirmed:
            end_s = perf_counter()
            channel.connection.close()

    def on_end(connection: Any, _reason: BaseException) -> None:
        connection.ioloop.stop()

    # An end before its time is found out by the number of messages in the queue.
    pika.SelectConnection(pika.URLParameters(job.url), on_open, on_end, on_end).ioloop.start()
    return end_s - start_s


def consume(job: ClientJob) -> float:
    """BlockingConnection: `basic_consume` with a callback, and `start_consuming`."""
    received = 0

    def on_message(
        channel: Any, method: spec.Basic.Deliver, _properties: pika.BasicProperties, _body: bytes
    ) -> None:
        nonlocal received
        received += 1
        if job.is_ack_due(received):
            channel.basic_ack(method.delivery_tag, multiple=True)
        if received == job.count:
            channel.stop_consuming()

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(job.url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        start_s = perf_counter()
        channel.basic_consume(job.queue, on_message)
        channel.start_consuming()
        return perf_counter() - start_s
