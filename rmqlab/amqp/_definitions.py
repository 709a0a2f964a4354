"""An exchange, a queue and a binding, as they are described to a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ExchangeType = Literal["direct", "fanout", "topic"]
QueueType = Literal["classic", "quorum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A durable exchange: where publishers send messages, and what routes these to queues.

    Attributes:
        name: its name; names that begin with `amq.` are the broker's.
        type: how it routes: `direct` (the routing key equals the binding's), `fanout` (to all),
            `topic` (the routing key fits the binding's pattern).

    Source: https://www.rabbitmq.com/docs/exchanges
    """

    name: str
    type: ExchangeType


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue: where messages wait for consumers.

    For a field that is None, the broker's default or its policy holds.

    Attributes:
        name: its name; empty lets the broker choose one.
        type: `classic`, on one node, or `quorum`, replicated.
        durable: whether it survives the broker's restart.
        exclusive: whether it belongs to the connection that declares it, and ends with it; so its
            topology is given to a `Consumer`.
        auto_delete: whether it is deleted with its last consumer.
        dead_letter_exchange: name of the exchange for messages that are rejected, expire, or
            are dropped for the queue's length; empty is the default exchange.
        dead_letter_routing_key: their new routing key; None keeps the one they have.
        max_priority: the highest priority of a message, 1 to 255; None is no priorities.
        delivery_limit: how many times a message may come back to a quorum queue before it is
            dropped or dead-lettered; -1 is no limit, from RabbitMQ 4.0 on.
        arguments: further arguments, by RabbitMQ's names: `x-max-length` and so on.

    Sources: https://www.rabbitmq.com/docs/queues, https://www.rabbitmq.com/docs/quorum-queues,
        https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/priority
    """

    name: str
    type: QueueType = "classic"
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int | None = None
    delivery_limit: int | None = None
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def all_arguments(self) -> dict[str, object]:
        """Return the arguments of the declaration, by RabbitMQ's names."""
        own = {
            "x-queue-type": self.type,
            "x-dead-letter-exchange": self.dead_letter_exchange,
            "x-dead-letter-routing-key": self.dead_letter_routing_key,
            "x-max-priority": self.max_priority,
            "x-delivery-limit": self.delivery_limit,
        }
        return {name: value for name, value in own.items() if value is not None} | dict(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A rule that sends messages from an exchange on to a queue.

    Attributes:
        exchange: name of the exchange that messages come from.
        queue: name of the queue they go to; empty is the topology's queue that the broker names.
        routing_key: what the exchange compares with a message's routing key: the same text
            (direct), a pattern (topic), nothing (fanout).

    Source: https://www.rabbitmq.com/docs/exchanges
    """

    exchange: str
    queue: str
    routing_key: str = ""
