"""An exchange, a queue and a binding, as they are described to a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

ExchangeType = Literal["direct", "fanout", "topic"]
QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish"]
# What of a queue does not travel as an argument of its own name.
PROPERTIES = {"name", "type", "durable", "exclusive", "auto_delete", "arguments"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What has a name, as errors call it: `queue 'engine:tasks'`."""

    name: str
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} {self.name!r}"

    def __post_init__(self) -> None:
        if "\n" in self.name or "\r" in self.name:
            # RabbitMQ takes them out of names, and pika waits for an answer with the name it asked for.
            raise ValueError(f"name is {self.name!r}; it goes on one line")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Named):
    """An exchange: where publishers send messages, and what routes these to queues.

    Attributes:
        name: its name; names that begin with `amq.` are the broker's.
        type: how it routes: `direct` (the routing key equals the binding's), `fanout` (to all),
            `topic` (the routing key fits the binding's pattern).
        durable: whether it survives the broker's restart.
        auto_delete: whether it is deleted with the last binding to it.
        alternate_exchange: name of the exchange that gets unroutable messages; None drops them.
        arguments: further arguments, by RabbitMQ's names.

    Raises:
        ValueError: the name has two lines.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/ae
    """

    type: ExchangeType
    alternate_exchange: str | None = None

    def all_arguments(self) -> dict[str, object]:
        """Return the arguments of the declaration, by RabbitMQ's names."""
        own = {"alternate-exchange": self.alternate_exchange} if self.alternate_exchange is not None else {}
        return own | dict(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue(Named):
    """A queue: where messages wait for consumers.

    For a field that is None, the broker's default or its policy holds.

    Attributes:
        name: its name; empty lets the broker choose one.
        type: `classic`, on one node, or `quorum`, replicated.
        durable: whether it survives the broker's restart.
        exclusive: whether it belongs to the connection that declares it, and ends with it.
        auto_delete: whether it is deleted with its last consumer.
        dead_letter_exchange: name of the exchange for messages that are rejected, expire, or
            are dropped for the queue's length; empty is the default exchange.
        dead_letter_routing_key: their new routing key; None keeps the one they have.
        max_length: how many messages may wait.
        overflow: what a full queue does: `drop-head` drops the oldest message (RabbitMQ's
            default), `reject-publish` refuses the new one.
        max_priority: the highest priority of a message, 1 to 255; None is no priorities.
        delivery_limit: how many times a message may come back to a quorum queue before it is
            dropped or dead-lettered; -1 is no limit, from RabbitMQ 4.0 on.
        arguments: further arguments, by RabbitMQ's names: `x-message-ttl` and so on.

    Raises:
        ValueError: the name has two lines.

    Sources: https://www.rabbitmq.com/docs/queues, https://www.rabbitmq.com/docs/quorum-queues,
        https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/maxlength,
        https://www.rabbitmq.com/docs/priority
    """

    type: QueueType = "classic"
    exclusive: bool = False
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_length: int | None = None
    overflow: Overflow | None = None
    max_priority: int | None = None
    delivery_limit: int | None = None

    def all_arguments(self) -> dict[str, object]:
        """Return the arguments of the declaration, by RabbitMQ's names."""
        given: dict[str, object] = {"x-queue-type": self.type}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in PROPERTIES and value is not None:
                given["x-" + each.name.replace("_", "-")] = value
        return given | dict(self.arguments)


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

    def __str__(self) -> str:
        key = f" with {self.routing_key!r}" if self.routing_key else ""
        return f"binding from exchange {self.exchange!r} to queue {self.queue!r}{key}"
