"""An exchange, a queue and a binding, as they are described to a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

ExchangeType = Literal["direct", "fanout", "topic", "headers"]
QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
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
            # RabbitMQ takes them out of names, and pika waits for ever for the name it asked for.
            raise ValueError(f"name is {self.name!r}; it goes on one line")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Named):
    """An exchange: where publishers send messages, and what routes these to queues.

    Attributes:
        name: its name; names that begin with `amq.` are the broker's.
        type: how it routes: `direct` (the routing key equals the binding's), `fanout` (to all),
            `topic` (the routing key fits the binding's pattern), `headers` (headers match).
        durable: whether it survives the broker's restart.
        auto_delete: whether it is deleted with the last binding to it.
        internal: whether only other exchanges may send to it.
        alternate_exchange: name of the exchange that gets unroutable messages; None drops them.
        arguments: further arguments, by RabbitMQ's names.

    Raises:
        ValueError: the type is unknown, or the name has two lines.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/ae
    """

    type: ExchangeType
    internal: bool = False
    alternate_exchange: str | None = None

    def __post_init__(self) -> None:
        Named.__post_init__(self)
        if self.type not in get_args(ExchangeType):
            raise ValueError(
                f"Exchange {self.name!r}: type is {self.type!r}; it is one of "
                f"{', '.join(map(repr, get_args(ExchangeType)))}"
            )

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
        message_ttl_ms: how long a message may wait, in milliseconds.
        expires_ms: how long an unused queue is kept, in milliseconds.
        max_length: how many messages may wait.
        max_length_bytes: how many bytes the bodies of waiting messages may have in all.
        overflow: what a full queue does: `drop-head` drops the oldest message (RabbitMQ's
            default), `reject-publish` refuses the new one, `reject-publish-dlx` also
            dead-letters it.
        max_priority: the highest priority of a message, 1 to 255; None is no priorities.
        single_active_consumer: whether one consumer gets everything, until it is gone.
        delivery_limit: how many times a message may come back to a quorum queue before it is
            dropped or dead-lettered; -1 is no limit, from RabbitMQ 4.0 on.
        arguments: further arguments, by RabbitMQ's names.

    Raises:
        ValueError: the name has two lines, or a quorum queue has an overflow that it ignores.

    Sources: https://www.rabbitmq.com/docs/queues, https://www.rabbitmq.com/docs/quorum-queues,
        https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/ttl,
        https://www.rabbitmq.com/docs/maxlength, https://www.rabbitmq.com/docs/priority,
        https://www.rabbitmq.com/docs/consumers (single active consumer)
    """

    type: QueueType = "classic"
    exclusive: bool = False
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow | None = None
    max_priority: int | None = None
    single_active_consumer: bool = False
    delivery_limit: int | None = None

    def __post_init__(self) -> None:
        Named.__post_init__(self)
        if self.type == "quorum" and self.overflow == "reject-publish-dlx":
            # The broker takes it, warns in its log, and drops the oldest message.
            raise ValueError(
                f"Queue {self.name!r}: overflow is 'reject-publish-dlx'; a quorum queue takes 'drop-head' "
                "or 'reject-publish'"
            )

    def all_arguments(self) -> dict[str, object]:
        """Return the arguments of the declaration, by RabbitMQ's names: `x-message-ttl` and so on."""
        given: dict[str, object] = {"x-queue-type": self.type}
        for each in fields(self):
            value = getattr(self, each.name)
            # False is left out: to the broker, an argument that is False is not one that is absent.
            if each.name not in PROPERTIES and value is not None and value is not False:
                given["x-" + each.name.removesuffix("_ms").replace("_", "-")] = value
        return given | dict(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A rule that sends messages from an exchange on to a queue, or to another exchange.

    Attributes:
        exchange: name of the exchange that messages come from.
        queue: name of the queue they go to; empty is the topology's queue that the broker names.
        destination_exchange: name of the exchange they go to, in place of a queue.
        routing_key: what the exchange compares with a message's routing key: the same text
            (direct), a pattern (topic), nothing (fanout, headers).
        arguments: the headers to match, and `x-match`, for an exchange of type headers.

    Raises:
        ValueError: there is not exactly one destination.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/e2e
    """

    exchange: str
    queue: str | None = None
    destination_exchange: str | None = None
    routing_key: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if (self.queue is None) == (self.destination_exchange is None):
            raise ValueError(
                f"Binding from {self.exchange!r}: set one of queue and destination_exchange, and only one"
            )

    @property
    def destination(self) -> str:
        """Name of the queue, or of the other exchange, that messages go to."""
        return (self.destination_exchange if self.queue is None else self.queue) or ""

    def __str__(self) -> str:
        kind = "exchange" if self.queue is None else "queue"
        key = f" with {self.routing_key!r}" if self.routing_key else ""
        return f"binding from exchange {self.exchange!r} to {kind} {self.destination!r}{key}"
