"""pika by hand, as its documentation and its examples have it: the adapters as they are.

Source: https://pika.readthedocs.io/en/stable/examples.html
"""

from __future__ import annotations

import contextlib
from typing import Any

import pika
from pika import spec

from rmqlab.experiments.clients._model import BenchError, Stopwatch, Workload

PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


def publish_confirm_each(order: Workload, stopwatch: Stopwatch) -> None:
    """BlockingConnection with `confirm_delivery`: each publish waits for its confirm."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(order.url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        body = order.body
        with stopwatch:
            for _ in range(order.count):
                channel.basic_publish("", order.queue, body, PERSISTENT)


def publish_unconfirmed(order: Workload, stopwatch: Stopwatch) -> None:
    """BlockingConnection without confirms.

    The clock stops when the broker answers a request that follows the last message on the
    same channel, so that it has read them all; not when they are in the socket's buffer.
    """
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(order.url))) as connection:
        channel = connection.channel()
        body = order.body
        with stopwatch:
            for _ in range(order.count):
                channel.basic_publish("", order.queue, body, PERSISTENT)
            channel.queue_declare(order.queue, passive=True)


def publish_window(order: Workload, stopwatch: Stopwatch, *, window: int) -> None:
    """SelectConnection: up to `window` messages unconfirmed, refilled as confirms arrive."""
    _WindowPublisher(order, stopwatch, window).run()


def consume_blocking(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """BlockingConnection: `basic_consume` with a callback, and `start_consuming`.

    Args:
        order: what to consume.
        stopwatch: times it.
        prefetch: how many messages the broker hands over before they are acknowledged.
        ack: `auto`, or the number of messages after which one acknowledgement covers all.
    """
    every = ack_every(ack)
    received = 0

    def on_message(
        channel: Any, method: spec.Basic.Deliver, _properties: pika.BasicProperties, _body: bytes
    ) -> None:
        nonlocal received
        received += 1
        last = received == order.count
        if every and (last or received % every == 0):
            channel.basic_ack(method.delivery_tag, multiple=every > 1)
        if last:
            channel.stop_consuming()

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(order.url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=prefetch)
        with stopwatch:
            channel.basic_consume(order.queue, on_message, auto_ack=not every)
            channel.start_consuming()
    check_received(received, order.count)


def consume_select(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """SelectConnection: `basic_consume` with a callback in pika's own loop."""
    _Consumer(order, stopwatch, prefetch, ack).run()


def ack_every(ack: str) -> int:
    """Read an acknowledgement policy: the number of messages, 0 for `auto`."""
    return 0 if ack == "auto" else int(ack)


def check_received(received: int, count: int) -> None:
    """Refuse a run in which a consumer ended early.

    Raises:
        BenchError: it did.
    """
    if received < count:
        raise BenchError(f"only {received} of {count} messages were received")


class _Client:
    """What a publisher and a consumer on a SelectConnection have in common."""

    def __init__(self, order: Workload, stopwatch: Stopwatch) -> None:
        self.order = order
        self.stopwatch = stopwatch
        self.channel: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.connection = pika.SelectConnection(
            pika.URLParameters(order.url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel_open),
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
        )

    def run(self) -> None:
        self.connection.ioloop.start()
        if not self.done:
            raise BenchError(f"the connection ended early: {self.error!r}")

    def begin(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        self.stopwatch.stop()
        self.done = True
        self.connection.close()

    def _on_channel_open(self, channel: Any) -> None:
        self.channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        self.begin()

    def _on_channel_closed(self, _: Any, reason: BaseException) -> None:
        self.error = self.error or reason
        if self.connection.is_open:
            self.connection.close()

    def _on_closed(self, connection: Any, reason: BaseException) -> None:
        self.error = self.error or reason
        connection.ioloop.stop()


class _WindowPublisher(_Client):
    def __init__(self, order: Workload, stopwatch: Stopwatch, window: int) -> None:
        super().__init__(order, stopwatch)
        self.window = window
        self.body = order.body
        self.published = 0
        self.unconfirmed: set[int] = set()
        self.oldest = 1  # no delivery tag below it is unconfirmed

    def begin(self) -> None:
        self.channel.confirm_delivery(self.on_confirm, callback=lambda _: self.start())

    def start(self) -> None:
        self.stopwatch.start()
        self.refill()

    def refill(self) -> None:
        while self.published < self.order.count and len(self.unconfirmed) < self.window:
            self.channel.basic_publish("", self.order.queue, self.body, PERSISTENT)
            self.published += 1
            self.unconfirmed.add(self.published)

    def on_confirm(self, frame: Any) -> None:
        if isinstance(frame.method, spec.Basic.Nack):
            self.error = BenchError("the broker refused a message")
            self.connection.close()
            return
        if frame.method.multiple:
            for tag in range(self.oldest, frame.method.delivery_tag + 1):
                self.unconfirmed.discard(tag)
            self.oldest = frame.method.delivery_tag + 1
        else:
            self.unconfirmed.discard(frame.method.delivery_tag)
        if self.published < self.order.count:
            self.refill()
        elif not self.unconfirmed:
            self.finish()


class _Consumer(_Client):
    def __init__(self, order: Workload, stopwatch: Stopwatch, prefetch: int, ack: str) -> None:
        super().__init__(order, stopwatch)
        self.prefetch = prefetch
        self.every = ack_every(ack)
        self.received = 0

    def begin(self) -> None:
        self.channel.basic_qos(prefetch_count=self.prefetch, callback=lambda _: self.start())

    def start(self) -> None:
        self.stopwatch.start()
        self.channel.basic_consume(self.order.queue, self.on_message, auto_ack=not self.every)

    def on_message(
        self, channel: Any, method: spec.Basic.Deliver, _properties: pika.BasicProperties, _body: bytes
    ) -> None:
        self.received += 1
        last = self.received == self.order.count
        if self.every and (last or self.received % self.every == 0):
            channel.basic_ack(method.delivery_tag, multiple=self.every > 1)
        if last:
            self.finish()
