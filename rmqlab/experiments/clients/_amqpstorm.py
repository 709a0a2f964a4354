"""amqpstorm: thread-safe, and without a way to have several publishes unconfirmed.

Source: https://www.amqpstorm.io
"""

from __future__ import annotations

from typing import Any

from rmqlab.experiments.clients._model import Stopwatch, Workload


def publish_confirm_each(workload: Workload, stopwatch: Stopwatch) -> None:
    """`confirm_deliveries`: each publish waits for its confirm, which it looks for every 10 ms."""
    from amqpstorm.uri_connection import UriConnection

    with UriConnection(workload.url) as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        body, properties = workload.body, {"delivery_mode": 2}
        with stopwatch:
            for _ in range(workload.count):
                channel.basic.publish(body, workload.queue, properties=properties)


def consume(workload: Workload, stopwatch: Stopwatch) -> None:
    """`basic.consume` with a callback, and `start_consuming`."""
    from amqpstorm.uri_connection import UriConnection

    received = 0

    def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if workload.is_ack_due(received):
            channel.basic.ack(message.delivery_tag, multiple=True)
        if received == workload.count:
            stopwatch.stop()
            channel.stop_consuming()

    with UriConnection(workload.url) as connection, connection.channel() as channel:
        channel.basic.qos(workload.prefetch)
        stopwatch.start()
        channel.basic.consume(on_message, workload.queue)
        # Without decoding of bodies to text, which is what its documentation gives for speed.
        channel.start_consuming(auto_decode=False)
