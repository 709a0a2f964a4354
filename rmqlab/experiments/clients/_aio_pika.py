"""aio-pika on asyncio.

Source: https://docs.aio-pika.com
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rmqlab.experiments.clients._model import Stopwatch, Workload
from rmqlab.experiments.clients._pika import ack_every

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage


def publish_window(order: Workload, stopwatch: Stopwatch, *, window: int) -> None:
    """Publisher confirms, up to `window` publishes awaited together.

    `gather` over chunks was as fast as `window` coroutines that publish one message after
    another, and faster than a semaphore around a task a message.
    """
    asyncio.run(_publish_window(order, stopwatch, window))


def consume(order: Workload, stopwatch: Stopwatch, *, prefetch: int, ack: str) -> None:
    """`queue.consume` with a callback, as fast as its iterator; arguments as in pika's."""
    asyncio.run(_consume(order, stopwatch, prefetch, ack_every(ack)))


async def _publish_window(order: Workload, stopwatch: Stopwatch, window: int) -> None:
    import aio_pika

    async with await aio_pika.connect(order.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        message = aio_pika.Message(order.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        with stopwatch:
            for first in range(0, order.count, window):
                size = min(window, order.count - first)
                await asyncio.gather(*(exchange.publish(message, order.queue) for _ in range(size)))


async def _consume(order: Workload, stopwatch: Stopwatch, prefetch: int, every: int) -> None:
    import aio_pika

    received = 0
    done = asyncio.Event()

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal received
        received += 1
        last = received == order.count
        if every and (last or received % every == 0):
            await message.ack(multiple=every > 1)
        if last:
            done.set()

    async with await aio_pika.connect(order.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=prefetch)
        queue = await channel.get_queue(order.queue, ensure=False)
        with stopwatch:
            await queue.consume(on_message, no_ack=not every)
            await done.wait()
