"""The publishing side of the engine."""

from __future__ import annotations

import uuid
from types import TracebackType

import pika
from pika import exceptions as amqp_errors

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.engine._task import Task
from rmqlab.errors import BrokerError


def declare_tasks(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    """Declare the queue of tasks: durable, so that it is there after a restart.

    Raises:
        BrokerError: there is such a queue with other settings, or the user may not make it.
    """
    try:
        channel.queue_declare(names.TASKS, durable=True)
    except amqp_errors.ChannelClosedByBroker as error:
        raise BrokerError(
            f"The broker refuses to declare the queue {names.TASKS!r} ({error.reply_text}). Next: delete "
            "a queue of that name that has other settings, or use another virtual host"
        ) from error


class EngineAPI:
    """Publishes tasks for the engine's workers.

    Use it as a context manager, or close it. It belongs to one thread, as pika's blocking
    connection does.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        BrokerError: the queue cannot be declared.
    """

    def __init__(self, broker: Broker | str) -> None:
        self._connection = connect(broker, name="engine-api")
        try:
            self._channel = self._connection.channel()
            declare_tasks(self._channel)
        except BaseException:
            self.close()
            raise

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
            BrokerError: the connection is gone.
        """
        identity = message_id or str(uuid.uuid4())
        body = task.encode()
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=identity,
        )
        try:
            self._channel.basic_publish(
                exchange="", routing_key=names.TASKS, body=body, properties=properties
            )
        except amqp_errors.AMQPError as error:
            raise BrokerError(
                f"The task was not sent: the connection is gone ({error!r}). "
                "Next: see that the broker runs, and make a new EngineAPI"
            ) from error
        return identity

    def wait(self, seconds: float) -> None:
        """Let time pass between two tasks while the connection is kept alive."""
        self._connection.sleep(seconds)

    def close(self) -> None:
        """Send what is still under way, and close the connection. Safe to call twice."""
        if self._connection.is_open:
            self._connection.close()
