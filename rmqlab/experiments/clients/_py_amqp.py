"""py-amqp, the library below Celery and kombu.

Source: https://docs.celeryq.dev/projects/amqp/en/latest/
"""

from __future__ import annotations

from typing import Any

from rmqlab.broker._address import Address
from rmqlab.experiments.clients._model import Stopwatch, Workload

WAIT_S = 30


def publish_confirm_each(workload: Workload, stopwatch: Stopwatch) -> None:
    """`confirm_publish=True`: each publish waits for its confirm."""
    import amqp

    with _connect(workload.url, confirm_publish=True) as connection:
        channel = connection.channel()
        message = amqp.Message(workload.body, delivery_mode=2)
        with stopwatch:
            for _ in range(workload.count):
                channel.basic_publish(message, routing_key=workload.queue, confirm_timeout=WAIT_S)


def publish_window(workload: Workload, stopwatch: Stopwatch) -> None:
    """`confirm_select`, and `drain_events` for the channel's `basic_ack` while the window is full."""
    import amqp

    unconfirmed: set[int] = set()
    oldest = 1

    def on_answer(tag: int, multiple: bool) -> None:
        nonlocal oldest
        if multiple:
            unconfirmed.difference_update(range(oldest, tag + 1))
            oldest = tag + 1
        else:
            unconfirmed.discard(tag)

    with _connect(workload.url) as connection:
        channel = connection.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(on_answer)
        channel.events["basic_nack"].add(on_answer)
        message = amqp.Message(workload.body, delivery_mode=2)
        with stopwatch:
            for tag in range(1, workload.count + 1):
                while len(unconfirmed) >= workload.window:
                    connection.drain_events(timeout=WAIT_S)
                channel.basic_publish(message, routing_key=workload.queue)
                unconfirmed.add(tag)
            while unconfirmed:
                connection.drain_events(timeout=WAIT_S)


def consume(workload: Workload, stopwatch: Stopwatch) -> None:
    """`basic_consume` with a callback, and `drain_events`."""
    received = 0

    def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if workload.is_ack_due(received):
            channel.basic_ack(message.delivery_tag, multiple=True)

    with _connect(workload.url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_size=0, prefetch_count=workload.prefetch, a_global=False)
        with stopwatch:
            channel.basic_consume(workload.queue, callback=on_message)
            while received < workload.count:
                connection.drain_events(timeout=WAIT_S)


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
