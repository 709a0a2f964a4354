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
    _WindowPublisher(workload, stopwatch).run()


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
    workload.check_received(received)


class _WindowPublisher:
    def __init__(self, workload: Workload, stopwatch: Stopwatch) -> None:
        self.workload, self.stopwatch = workload, stopwatch
        self.body = workload.body
        self.published = 0
        self.unconfirmed: set[int] = set()
        self.oldest = 1  # no delivery tag below it is unconfirmed
        self.channel: Any = None
        self.error: BaseException | None = None
        self.connection = pika.SelectConnection(
            pika.URLParameters(workload.url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.on_channel_open),
            on_open_error_callback=self.on_closed,
            on_close_callback=self.on_closed,
        )

    def run(self) -> None:
        self.connection.ioloop.start()
        if self.unconfirmed or self.published < self.workload.count:
            raise ClientError(f"the connection ended early: {self.error!r}")

    def on_channel_open(self, channel: Any) -> None:
        self.channel = channel
        channel.add_on_close_callback(self.on_channel_closed)
        channel.confirm_delivery(self.on_confirm, callback=self.on_confirms_on)

    def on_confirms_on(self, _: Any) -> None:
        self.stopwatch.start()
        self.refill()

    def refill(self) -> None:
        while self.published < self.workload.count and len(self.unconfirmed) < self.workload.window:
            self.channel.basic_publish("", self.workload.queue, self.body, PERSISTENT)
            self.published += 1
            self.unconfirmed.add(self.published)

    def on_confirm(self, frame: Any) -> None:
        if isinstance(frame.method, spec.Basic.Nack):
            self.error = ClientError("the broker refused a message")
            self.connection.close()
            return
        if frame.method.multiple:
            for tag in range(self.oldest, frame.method.delivery_tag + 1):
                self.unconfirmed.discard(tag)
            self.oldest = frame.method.delivery_tag + 1
        else:
            self.unconfirmed.discard(frame.method.delivery_tag)
        if self.published < self.workload.count:
            self.refill()
        elif not self.unconfirmed:
            self.stopwatch.stop()
            self.connection.close()

    def on_channel_closed(self, _: Any, reason: BaseException) -> None:
        self.error = self.error or reason
        if self.connection.is_open:
            self.connection.close()

    def on_closed(self, connection: Any, reason: BaseException) -> None:
        self.error = self.error or reason
        connection.ioloop.stop()
