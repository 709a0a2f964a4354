"""The publishing side of the engine."""

from __future__ import annotations

import uuid
from typing import Any

import pika

from rmqlab import names
from rmqlab.amqp import Publisher, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.engine._body import Body, Event, Task
from rmqlab.engine._topology import TOPOLOGY


class EngineAPI(Publisher):
    """Publishes tasks for the engine's workers, and events for whoever subscribes to them.

    It waits, flushes, stops and closes as a `Publisher`.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or those of several hosts of one cluster.
        topology: what is declared first.
        name: the connection's name, as the broker's management pages show it.
        options: further arguments of a `Publisher`: `confirms`, `mandatory`, `recovery`,
            `observer`, `timeout_s`.

    Raises:
        As `Publisher`.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        *,
        topology: Topology = TOPOLOGY,
        name: str = "engine-api",
        **options: Any,
    ) -> None:
        super().__init__(broker, topology=topology, name=name, **options)

    def publish_task(
        self,
        task: Task,
        *,
        queue: str = names.TASKS,
        priority: int | None = None,
        message_id: str | None = None,
    ) -> str:
        """Put a task into `engine:tasks`, or another queue, as a persistent message.

        Args:
            task: the task.
            queue: name of the queue.
            priority: what it counts in a queue with priorities; None is the lowest.
            message_id: the message's identity; None makes a new one.

        Returns:
            The message's identity.

        Raises:
            InvalidMessageError: the task has no form in JSON.
            BrokerError: the broker refused the message, or the connection is gone.
        """
        return self._publish(task, "", queue, message_id, priority)

    def publish_event(self, event: Event, *, message_id: str | None = None) -> str:
        """Publish an event to every queue that is bound to `engine:events` now.

        Args:
            event: the event.
            message_id: as in `publish_task`.

        Returns:
            The message's identity.

        Raises:
            InvalidMessageError: the event has no form in JSON.
            BrokerError: as `publish_task`.
        """
        return self._publish(event, names.EVENTS, "", message_id)

    def route_task(self, task: Task, routing_key: str, *, message_id: str | None = None) -> str:
        """Send a task to the queues that `engine:routing` has for a routing key.

        Where it has none, the task is lost, and confirmed all the same; a `mandatory` API counts
        it as returned.

        Args:
            task: the task.
            routing_key: such as `high-priority`.
            message_id: as in `publish_task`.

        Returns:
            The message's identity.

        Raises:
            As `publish_task`.

        Source: https://www.rabbitmq.com/docs/publishers#unroutable
        """
        return self._publish(task, names.ROUTING, routing_key, message_id)

    def _publish(
        self,
        what: Body,
        exchange: str,
        routing_key: str,
        message_id: str | None,
        priority: int | None = None,
    ) -> str:
        identity = message_id or str(uuid.uuid4())
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            priority=priority,
            message_id=identity,
        )
        self.publish(what.encode(), exchange=exchange, routing_key=routing_key, properties=properties)
        return identity
