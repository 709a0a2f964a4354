"""The publishing side of the engine."""

from __future__ import annotations

import contextlib
import uuid
from types import TracebackType

import pika

from rmqlab import names
from rmqlab.amqp import Confirms, Publisher, PublishObserver, Session
from rmqlab.broker import Broker
from rmqlab.engine._task import Task


def declare_tasks(broker: Broker | str) -> None:
    """Declare the queue of tasks: durable, so that it is there after a restart.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        ChannelClosedError: there is a queue of that name with other properties.
    """
    with contextlib.closing(Session(broker, name="engine-tasks")) as session:
        session.call(session.channel.queue_declare, queue=names.TASKS, durable=True)


class EngineAPI:
    """Publishes tasks for the engine's workers.

    Use it as a context manager, or close it; leaving the block waits until the broker has
    confirmed every task. It belongs to one thread.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        confirms: how long it goes on without the broker's confirm, such as
            `fire_and_forget()`; None keeps a window of 500 tasks unconfirmed.
        observer: is told what happens to each message; None tells nobody.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        ChannelClosedError: there is a queue `engine:tasks` with other properties.
    """

    def __init__(
        self,
        broker: Broker | str,
        *,
        confirms: Confirms | None = None,
        observer: PublishObserver | None = None,
    ) -> None:
        declare_tasks(broker)
        self._publisher = Publisher(
            broker, routing_key=names.TASKS, confirms=confirms, observer=observer, name="engine-api"
        )

    def __enter__(self) -> EngineAPI:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._publisher.__exit__(kind, error, trace)

    def publish_task(self, task: Task, *, message_id: str | None = None) -> str:
        """Put a task into `engine:tasks`, as a persistent message.

        Args:
            task: the task.
            message_id: the message's identity; None makes a new one.

        Returns:
            The message's identity.

        Raises:
            InvalidTaskError: the task has no form in JSON.
            BrokerError: the broker refused the message, or the connection is gone.
        """
        identity = message_id or str(uuid.uuid4())
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=identity,
        )
        self._publisher.publish(task.encode(), properties=properties)
        return identity

    def wait(self, seconds: float) -> None:
        """Let time pass between two tasks while the connection is kept alive."""
        self._publisher.wait(seconds)

    def close(self) -> None:
        """Wait until every task is confirmed, and close the connection. Safe to call twice."""
        if self._publisher.is_open:
            self._publisher.__exit__(None, None, None)
