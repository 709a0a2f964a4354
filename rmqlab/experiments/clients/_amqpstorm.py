"""amqpstorm: thread-safe, and without a way to have several publishes unconfirmed.

Source: https://www.amqpstorm.io
"""

from __future__ import annotations

from typing import Any

from rmqlab.experiments.clients._model import Stopwatch, Workload
from rmqlab.experiments.clients._pika import ack_every, check_received


def publish_confirm_each(order: Workload, stopwatch: Stopwatch) -> None:
    """`confirm_deliveries`: each publish waits for its confirm, which it looks for every 10 ms."""
    from amqpstorm.uri_connection import UriConnection

    with UriConnection(order.url) as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        body, properties = order.body, {"delivery_mode": 2}
        with stopwatch:
            for _ in range(order.count):
                channel.basic.publish(body, order.queue, properties=properties)


def consume(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """`basic.consume` with a callback, and `start_consuming`; arguments as in pika's."""
    from amqpstorm.uri_connection import UriConnection

    every = ack_every(ack)
    received = 0

    def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        last = received == order.count
        if every and (last or received % every == 0):
            channel.basic.ack(message.delivery_tag, multiple=every > 1)
        if last:
            stopwatch.stop()
            channel.stop_consuming()

    with UriConnection(order.url) as connection, connection.channel() as channel:
        channel.basic.qos(prefetch)
        stopwatch.start()
        channel.basic.consume(on_message, order.queue, no_ack=not every)
        # Without decoding of bodies to text, which is what its documentation gives for speed.
        channel.start_consuming(auto_decode=False)
    check_received(received, order.count)
