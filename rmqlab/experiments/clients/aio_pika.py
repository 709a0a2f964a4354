"""aio-pika on asyncio.

Source: https://docs.aio-pika.com
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from rmqlab.experiments.clients.job import PREFETCH, WINDOW, ClientJob


def publish_window(job: ClientJob) -> float:
    """Publisher confirms, a window of publishes awaited together.

    `gather` over chunks was as fast as `window` coroutines that publish one message after
    another, and faster than a semaphore around a task a message.
    """
    return asyncio.run(_publish(job))


def consume(job: ClientJob) -> float:
    """`queue.consume` with a callback, as fast as its iterator."""
    return asyncio.run(_consume(job))


async def _publish(job: ClientJob) -> float:
    import aio_pika

    async with await aio_pika.connect(job.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        message = aio_pika.Message(job.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        start_s = perf_counter()
        for first in range(0, job.count, WINDOW):
            size = min(WINDOW, job.count - first)
            await asyncio.gather(*(exchange.publish(message, job.queue) for _ in range(size)))
        return perf_counter() - start_s


async def _consume(job: ClientJob) -> float:
    import aio_pika

    received = 0
    done = asyncio.Event()

    async def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if job.is_ack_due(received):
            await message.ack(multiple=True)
        if received == job.count:
            done.set()

    async with await aio_pika.connect(job.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(job.queue, ensure=False)
        start_s = perf_counter()
        await queue.consume(on_message)
        await done.wait()
        return perf_counter() - start_s
