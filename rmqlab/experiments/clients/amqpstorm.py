"""amqpstorm: thread-safe, and without a way to have several publishes unconfirmed.

Source: https://www.amqpstorm.io
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from rmqlab.experiments.clients.job import PREFETCH, ClientJob


def publish_confirm_each(job: ClientJob) -> float:
    """`confirm_deliveries`: each publish waits for its confirm, which it looks for every 10 ms."""
    from amqpstorm.uri_connection import UriConnection

    with UriConnection(job.url) as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        properties = {"delivery_mode": 2}
        start_s = perf_counter()
        for _ in range(job.count):
            channel.basic.publish(job.body, job.queue, properties=properties)
        return perf_counter() - start_s


def consume(job: ClientJob) -> float:
    """`basic.consume` with a callback, and `start_consuming`."""
    from amqpstorm.uri_connection import UriConnection

    received, end_s = 0, 0.0

    def on_message(message: Any) -> None:
        nonlocal received, end_s
        received += 1
        if job.is_ack_due(received):
            channel.basic.ack(message.delivery_tag, multiple=True)
        if received == job.count:
            end_s = perf_counter()
            channel.stop_consuming()

    with UriConnection(job.url) as connection, connection.channel() as channel:
        channel.basic.qos(PREFETCH)
        start_s = perf_counter()
        channel.basic.consume(on_message, job.queue)
        # Without decoding of bodies to text, as its documentation recommends for speed.
        channel.start_consuming(auto_decode=False)
        return end_s - start_s
