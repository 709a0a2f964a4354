"""aio-pika on asyncio.

Source: https://docs.aio-pika.com
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from rmqlab.experiments.clients.workload import PREFETCH, Workload


def publish_window(workload: Workload) -> float:
    """Publisher confirms, a window of publishes awaited together.

    `gather` over chunks was as fast as `window` coroutines that publish one message after
    another, and faster than a semaphore around a task a message.
    """
    return asyncio.run(_publish(workload))


def consume(workload: Workload) -> float:
    """`queue.consume` with a callback, as fast as its iterator."""
    return asyncio.run(_consume(workload))


async def _publish(workload: Workload) -> float:
    import aio_pika

    async with await aio_pika.connect(workload.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        message = aio_pika.Message(workload.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        start_s = perf_counter()
        for first in range(0, workload.count, workload.window):
            size = min(workload.window, workload.count - first)
            await asyncio.gather(*(exchange.publish(message, workload.queue) for _ in range(size)))
        return perf_counter() - start_s


async def _consume(workload: Workload) -> float:
    import aio_pika

    received = 0
    done = asyncio.Event()

    async def on_message(message: Any) -> None:
        nonlocal received
        received += 1
        if workload.is_ack_due(received):
            await message.ack(multiple=True)
        if received == workload.count:
            done.set()

    async with await aio_pika.connect(workload.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(workload.queue, ensure=False)
        start_s = perf_counter()
        await queue.consume(on_message)
        await done.wait()
        return perf_counter() - start_s
