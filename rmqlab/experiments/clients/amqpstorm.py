"""amqpstorm: thread-safe, and without a way to have several publishes unconfirmed.

Source: https://www.amqpstorm.io
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from rmqlab.experiments.clients.workload import PREFETCH, Workload


def publish_confirm_each(workload: Workload) -> float:
    """`confirm_deliveries`: each publish waits for its confirm, which it looks for every 10 ms."""
    from amqpstorm.uri_connection import UriConnection

    with UriConnection(workload.url) as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        body, properties = workload.body, {"delivery_mode": 2}
        start_s = perf_counter()
        for _ in range(workload.count):
            channel.basic.publish(body, workload.queue, properties=properties)
        return perf_counter() - start_s


def consume(workload: Workload) -> float:
    """`basic.consume` with a callback, and `start_consuming`."""
    from amqpstorm.uri_connection import UriConnection

    received, end_s = 0, 0.0

    def on_message(message: Any) -> None:
        nonlocal received, end_s
        received += 1
        if workload.is_ack_due(received):
            channel.basic.ack(message.delivery_tag, multiple=True)
        if received == workload.count:
            end_s = perf_counter()
            channel.stop_consuming()

    with UriConnection(workload.url) as connection, connection.channel() as channel:
        channel.basic.qos(PREFETCH)
        start_s = perf_counter()
        channel.basic.consume(on_message, workload.queue)
        # Without decoding of bodies to text, as its documentation recommends for speed.
        channel.start_consuming(auto_decode=False)
        return end_s - start_s
