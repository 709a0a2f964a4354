"""pika by hand, as its documentation and its examples have it: the adapters as they are.

Source: https://pika.readthedocs.io/en/stable/examples.html
"""

from __future__ import annotations

import contextlib
from typing import Any

import pika
from pika import spec

from rmqlab.experiments.clients._model import ClientError, Stopwatch, Workload

PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


def publish_confirm_each(workload: Workload, stopwatch: Stopwatch) -> None:
    """BlockingConnection with `confirm_delivery`: each publish waits for its confirm."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(workload.url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        body = workload.body
        with stopwatch:
            for _ in range(workload.count):
                channel.basic_publish("", workload.queue, body, PERSISTENT)


def publish_window(workload: Workload, stopwatch: Stopwatch) -> None:
    """SelectConnection: a window of messages unconfirmed, refilled as confirms arrive."""
    body = workload.body
    unconfirmed: set[int] = set()
    published, oldest = 0, 1  # no delivery tag below the oldest is unconfirmed
    reasons: list[BaseException] = []

    def on_open(connection: Any) -> None:
        connection.channel(on_open_callback=on_channel_open)

    def on_channel_open(channel: Any) -> None:
        channel.add_on_close_callback(on_channel_closed)
        channel.confirm_delivery(
            lambda frame: on_confirm(channel, frame.method), callback=lambda _: start(channel)
        )

    def start(channel: Any) -> None:
        stopwatch.start()
        refill(channel)

    def refill(channel: Any) -> None:
        nonlocal published
        while published < workload.count and len(unconfirmed) < workload.window:
            channel.basic_publish("", workload.queue, body, PERSISTENT)
            published += 1
            unconfirmed.add(published)

    def on_confirm(channel: Any, method: spec.Basic.Ack) -> None:
        nonlocal oldest
        if method.multiple:
            for tag in range(oldest, method.delivery_tag + 1):
                unconfirmed.discard(tag)
            oldest = method.delivery_tag + 1
        else:
            unconfirmed.discard(method.delivery_tag)
        if published < workload.count:
            refill(channel)
        elif not unconfirmed:
            stopwatch.stop()
            channel.connection.close()

    def on_channel_closed(channel: Any, reason: BaseException) -> None:
        reasons.append(reason)
        if channel.connection.is_open:
            channel.connection.close()

    def on_closed(connection: Any, reason: BaseException) -> None:
        reasons.append(reason)
        connection.ioloop.stop()

    pika.SelectConnection(pika.URLParameters(workload.url), on_open, on_closed, on_closed).ioloop.start()
    if unconfirmed or published < workload.count:
        raise ClientError(f"the connection ended early: {reasons[0]!r}")


def consume(workload: Workload, stopwatch: Stopwatch) -> None:
    """BlockingConnection: `basic_consume` with a callback, and `start_consuming`."""
    received = 0

    def on_message(
        channel: Any, method: spec.Basic.Deliver, _properties: pika.BasicProperties, _body: bytes
    ) -> None:
        nonlocal received
        received += 1
        if workload.is_ack_due(received):
            channel.basic_ack(method.delivery_tag, multiple=True)
        if received == workload.count:
            channel.stop_consuming()

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(workload.url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=workload.prefetch)
        with stopwatch:
            channel.basic_consume(workload.queue, on_message)
            channel.start_consuming()
