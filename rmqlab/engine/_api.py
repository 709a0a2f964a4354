"""The publishing side of the engine."""

from __future__ import annotations

import uuid
from types import TracebackType

import pika

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.engine._task import Task


def declare_tasks(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    """Declare the queue of tasks: durable, so that it is there after a restart."""
    channel.queue_declare(names.TASKS, durable=True)


class EngineAPI:
    """Publishes tasks for the engine's workers.

    Use it as a context manager, or close it. It belongs to one thread, as pika's blocking
    connection does.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.

    Raises:
        BrokerUnavailableError: no connection could be opened.
    """

    def __init__(self, broker: Broker | str) -> None:
        self._connection = connect(broker, name="engine-api")
        self._channel = self._connection.channel()
        declare_tasks(self._channel)

    def __enter__(self) -> EngineAPI:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish_task(self, task: Task, *, message_id: str | None = None) -> str:
        """Put a task into `engine:tasks`, as a persistent message.

        Args:
            task: the task.
            message_id: the message's identity; None makes a new one.

        Returns:
            The message's identity.

        Raises:
            InvalidTaskError: the task has no form in JSON.
        """
        identity = message_id or str(uuid.uuid4())
        self._channel.basic_publish(
            exchange="",
            routing_key=names.TASKS,
            body=task.encode(),
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent.value,
                message_id=identity,
            ),
        )
        return identity

    def wait(self, seconds: float) -> None:
        """Let time pass between two tasks while the connection is kept alive."""
        self._connection.sleep(seconds)

    def close(self) -> None:
        """Send what is still under way, and close the connection. Safe to call twice."""
        if self._connection.is_open:
            self._connection.close()
