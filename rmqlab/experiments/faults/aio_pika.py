"""aio-pika's `connect_robust`, with a loop around `publish`.

A robust connection opens itself, its channels and its consumers again. A publish that was not
confirmed when the connection was lost fails, and the application has to publish again.

Source: https://docs.aio-pika.com
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError

from rmqlab.experiments.faults import job as settings
from rmqlab.experiments.faults.job import Job

# A publish between a loss and the recovery fails at once: this keeps the loop from spinning.
PAUSE_S = 0.05
LOOK_EVERY_S = 0.1


def publish(job: Job) -> None:
    """Publish each message until it is confirmed."""
    asyncio.run(_publish(job))


def consume(job: Job) -> None:
    """Acknowledge each message; the robust channel declares the queue again where it is gone."""
    asyncio.run(_consume(job))


@contextlib.asynccontextmanager
async def _open(job: Job) -> AsyncIterator[tuple[AbstractChannel, AbstractQueue]]:
    """Return a channel and its queue, which the channel itself declares again whenever it recovers."""
    async with await aio_pika.connect_robust(
        job.url, heartbeat=settings.HEARTBEAT_S, reconnect_interval=settings.WAIT_S
    ) as connection:
        channel = await connection.channel()  # with confirms
        await channel.set_qos(prefetch_count=settings.PREFETCH)
        arguments = {"x-queue-type": job.queue_type}
        yield channel, await channel.declare_queue(job.queue, durable=True, arguments=arguments)


async def _publish(job: Job) -> None:
    recorder, number = job.ledger.publisher(), 0
    async with _open(job) as (channel, _):
        while not job.ending.is_set():
            await asyncio.sleep(settings.INTERVAL_S)
            recorder.published(number)
            while not await _is_confirmed(channel, job.queue, settings.LOAD.body(number)):
                if job.stopping.is_set():
                    return
                job.republished += 1
            recorder.confirmed(number)
            number += 1


async def _is_confirmed(channel: AbstractChannel, queue: str, body: bytes) -> bool:
    """Publish a message, and return True if the broker has confirmed it."""
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    try:
        await channel.default_exchange.publish(message, queue, timeout=settings.CONFIRM_TIMEOUT_S)
    # aio-pika cancels what waits on a connection that has missed its heartbeats.
    except (asyncio.CancelledError, TimeoutError, *CONNECTION_EXCEPTIONS, DeliveryError):
        await asyncio.sleep(PAUSE_S)
        return False
    return True


async def _consume(job: Job) -> None:
    # Delivery tags begin anew with each connection.
    recorder, numbers = job.ledger.consumer(), itertools.count(1)

    async def on_message(message: AbstractIncomingMessage) -> None:
        number = next(numbers)
        recorder.delivered(number, bool(message.redelivered), None, message.body)
        with contextlib.suppress(*CONNECTION_EXCEPTIONS):  # it comes again
            await message.ack()
            recorder.settled(number, False, "acked")

    async with _open(job) as (_, queue):
        await queue.consume(on_message)
        while not job.stopping.is_set():
            await asyncio.sleep(LOOK_EVERY_S)
