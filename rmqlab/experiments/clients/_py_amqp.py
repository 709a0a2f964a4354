"""py-amqp, the library below Celery and kombu.

Source: https://docs.celeryq.dev/projects/amqp/en/latest/
"""

from __future__ import annotations

from typing import Any

from rmqlab.broker import Address
from rmqlab.experiments.clients._model import BenchError, Stopwatch, Workload
from rmqlab.experiments.clients._pika import ack_every, check_received

WAIT_S = 30


def publish_confirm_each(order: Workload, stopwatch: Stopwatch) -> None:
    """`confirm_publish=True`: each publish waits for its confirm."""
    import amqp

    with _connect(order.url, confirm_publish=True) as connection:
        channel = connection.channel()
        message = amqp.Message(order.body, delivery_mode=2)
        with stopwatch:
            for _ in range(order.count):
                channel.basic_publish(message, routing_key=order.queue, confirm_timeout=WAIT_S)


def publish_window(order: Workload, stopwatch: Stopwatch, *, window: int) -> None:
    """`confirm_select` and the channel's `basic_ack` events: its fastest way to confirm.

    Publish until `window` messages are unconfirmed, then read what the broker sends until
    there is room again.
    """
    import amqp

    unconfirmed: set[int] = set()
    oldest = 1

    def on_ack(tag: int, multiple: bool) -> None:
        nonlocal oldest
        if multiple:
            unconfirmed.difference_update(range(oldest, tag + 1))
            oldest = tag + 1
        else:
            unconfirmed.discard(tag)

    def on_nack(_tag: int, _multiple: bool) -> None:
        raise BenchError("the broker refused a message")

    with _connect(order.url) as connection:
        channel = connection.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(on_ack)
        channel.events["basic_nack"].add(on_nack)
        message = amqp.Message(order.body, delivery_mode=2)
        with stopwatch:
            for tag in range(1, order.count + 1):
                while len(unconfirmed) >= window:
                    connection.drain_events(timeout=WAIT_S)
                channel.basic_publish(message, routing_key=order.queue)
                unconfirmed.add(tag)
            while unconfirmed:
                connection.drain_events(timeout=WAIT_S)


def consume(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """`basic_consume` with a callback, and `drain_events`; arguments as in pika's."""
    every = ack_every(ack)
    received = 0

    def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if every and (received == order.count or received % every == 0):
            channel.basic_ack(message.delivery_tag, multiple=every > 1)

    with _connect(order.url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_size=0, prefetch_count=prefetch, a_global=False)
        with stopwatch:
            channel.basic_consume(order.queue, callback=on_message, no_ack=not every)
            while received < order.count:
                connection.drain_events(timeout=WAIT_S)
    check_received(received, order.count)


def _connect(url: str, *, confirm_publish: bool = False) -> Any:
    """Make a connection; py-amqp reads no URLs. Entering it connects, leaving it closes."""
    import amqp

    address = Address.parse(url)
    return amqp.Connection(
        host=f"{address.host}:{address.port}",
        userid=address.username,
        password=address.password,
        virtual_host=address.virtual_host,
        ssl=address.scheme == "amqps",
        confirm_publish=confirm_publish,
        connect_timeout=WAIT_S,
    )
