"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import pika
from pika import exceptions as amqp_errors
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.amqp import _diagram
from rmqlab.amqp._connect import connect
from rmqlab.amqp._graph import given, graph_of
from rmqlab.amqp._refusals import ARGUMENTS, step
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError

__all__ = ["Binding", "Exchange", "ExchangeType", "Overflow", "Queue", "QueueType", "Topology"]

ExchangeType = Literal["direct", "fanout", "topic", "headers"]
QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]

# What every broker has, and nobody may declare or delete.
PREDEFINED = ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace")
GENERATED = "amq.gen-"  # how the names begin that the broker gives

# Calls one of a channel's methods by name, and gives the broker's answer.
Call = Callable[..., Any]
Where: TypeAlias = Broker | str | BlockingChannel | Session


class _Described:
    """Gives a dataclass a repr that reads like the call that made it."""

    __slots__ = ()

    def __repr__(self) -> str:
        settings = (f"{name}={value!r}" for name, value in given(self))
        return f"{type(self).__name__}({', '.join(settings)})"


class _Named(_Described):
    """What has a name, as errors call it: `queue 'engine:tasks'`."""

    __slots__ = ()
    name: str

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Exchange(_Named):
    """An exchange: where publishers send messages, and what routes these to queues.

    Attributes:
        name: its name, up to 255 bytes; names that begin with `amq.` are the broker's.
        type: how it routes: `direct` (the routing key equals the binding's), `fanout` (to all),
            `topic` (the routing key fits the binding's pattern), `headers` (headers match).
        durable: whether it is still there after the broker's restart.
        auto_delete: whether it goes with the last thing that was bound to it.
        internal: whether only other exchanges may send to it, and no publisher.
        alternate_exchange: name of the exchange that gets what cannot be routed; None drops it.
        arguments: whatever else the broker is to be told, by RabbitMQ's names.

    Raises:
        ValueError: the type is unknown, which would cost the connection, or the name has two lines.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/ae
    """

    name: str
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.type not in get_args(ExchangeType):
            raise ValueError(
                f"Exchange {self.name!r}: type is {self.type!r}; it is one of "
                f"{', '.join(map(repr, get_args(ExchangeType)))}"
            )
        _keep_arguments(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Queue(_Named):
    """A queue: where messages wait for consumers.

    A field that is None is not told to the broker, whose default, or policy, then holds.

    Attributes:
        name: its name, up to 255 bytes; empty lets the broker choose one.
        type: `classic`, on one node, or `quorum`, replicated.
        durable: whether it is still there after the broker's restart.
        exclusive: whether it belongs to the connection that declares it, and goes with that.
        auto_delete: whether it goes with its last consumer.
        dead_letter_exchange: name of the exchange for messages that are rejected, expire, or
            are dropped for the queue's length; empty is the default exchange.
        dead_letter_routing_key: their routing key from then on; None keeps the one they have.
        message_ttl_ms: how long a message may wait, in milliseconds, 0 to 315,360,000,000.
        expires_ms: how long an unused queue is kept, in milliseconds, from 1.
        max_length: how many messages may wait.
        max_length_bytes: how many bytes the bodies of waiting messages may have in all.
        overflow: what happens when it is full: `drop-head` drops the oldest message (RabbitMQ's
            default), `reject-publish` refuses the new one, `reject-publish-dlx` refuses it and
            dead-letters it.
        max_priority: the highest priority of a message, 0 to 255; None is no priorities.
        single_active_consumer: whether one consumer gets everything, and the next one only
            takes over when that is gone.
        delivery_limit: how many times a message may come back to a quorum queue before it is
            dropped or dead-lettered; -1 is no limit, from RabbitMQ 4.0 on.
        arguments: whatever else the broker is to be told, by RabbitMQ's names.

    Raises:
        ValueError: the name has two lines, or fields have values that together have no effect. What
            a broker refuses, it refuses when the queue is declared.

    Sources: https://www.rabbitmq.com/docs/queues, https://www.rabbitmq.com/docs/quorum-queues,
        https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/ttl,
        https://www.rabbitmq.com/docs/maxlength, https://www.rabbitmq.com/docs/priority,
        https://www.rabbitmq.com/docs/consumers (single active consumer)
    """

    name: str
    type: QueueType = "classic"
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
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
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.type != "quorum" and self.delivery_limit is not None:
            raise ValueError(
                f"Queue {self.name!r}: delivery_limit is {self.delivery_limit}, but only quorum queues have "
                "one; a classic queue takes None"
            )
        if self.overflow is not None and self.max_length is None and self.max_length_bytes is None:
            raise ValueError(
                f"Queue {self.name!r}: overflow is {self.overflow!r} without a limit; set max_length or "
                "max_length_bytes, or leave overflow None (a policy that sets a limit also sets overflow)"
            )
        if self.type == "quorum" and self.overflow == "reject-publish-dlx":
            # The broker takes it, warns in its log, and drops the oldest message.
            raise ValueError(
                f"Queue {self.name!r}: overflow is 'reject-publish-dlx'; a quorum queue takes 'drop-head' "
                "or 'reject-publish'"
            )
        _keep_arguments(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Binding(_Described):
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
        _keep_arguments(self)

    @property
    def destination(self) -> str:
        """Name of the queue, or of the other exchange, that messages go to."""
        return (self.destination_exchange if self.queue is None else self.queue) or ""

    def __str__(self) -> str:
        kind = "exchange" if self.queue is None else "queue"
        key = f" with {self.routing_key!r}" if self.routing_key else ""
        return f"binding from exchange {self.exchange!r} to {kind} {self.destination!r}{key}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Topology(_Described):
    """Exchanges, queues, and the bindings between them.

    A notebook shows it as a picture.

    Attributes:
        exchanges: the exchanges to declare; the predefined ones need not be among them.
        queues: the queues to declare; one of them may leave its name to the broker.
        bindings: the bindings, between exchanges and queues named above, or others that are there.

    Source: https://www.rabbitmq.com/tutorials/amqp-concepts
    """

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            object.__setattr__(self, each.name, tuple(getattr(self, each.name)))

    def declare(self, where: Where) -> Topology:
        """Declare the exchanges, then the queues, then the bindings.

        What the broker has already is left as it is, so that a second call changes nothing.
        A channel that is given stays open whatever the broker says: another one of the same
        connection does the work. A session that is given is closed by what the broker refuses.

        Args:
            where: a broker of `start_broker`, an AMQP URL, an open channel, or a session.
                Exclusive queues take one of the last two, as they go with the connection that
                declared them.

        Returns:
            The topology as the broker has it: this one, with the name that the broker gave to
            the queue that had none.

        Raises:
            TopologyMismatchError: the broker has an exchange or a queue of that name with other
                settings; names the first field that differs.
            BrokerError: the broker refuses something else, or is gone. This and the error
                before name what was declared until then; it stays.
            ValueError: there is an exclusive queue, and no channel for it.

        Source: https://www.rabbitmq.com/docs/queues (property equivalence)
        """
        exclusive = next((each.name for each in self.queues if each.exclusive), None)
        if exclusive is not None and not isinstance(where, BlockingChannel | Session):
            raise ValueError(
                f"where: Queue {exclusive!r} has exclusive True and would go with the connection that "
                "this call opens and closes; give a channel, or set exclusive False"
            )
        done: list[str] = []
        named: dict[str, str] = {}
        with _calls_to(where) as call:
            for exchange in self.exchanges:
                with step("declare", exchange, done):
                    call(
                        "exchange_declare",
                        exchange=exchange.name,
                        exchange_type=exchange.type,
                        durable=exchange.durable,
                        auto_delete=exchange.auto_delete,
                        internal=exchange.internal,
                        arguments=_arguments(exchange),
                    )
            for queue in self.queues:
                with step("declare", queue, done):
                    named[queue.name] = _declare_queue(call, queue)
            bindings = tuple(_with_names(each, named) for each in self.bindings)
            for binding in bindings:
                with step("declare", binding, done):
                    _bind(call, binding)
        queues = tuple(dataclasses.replace(each, name=named[each.name]) for each in self.queues)
        return dataclasses.replace(self, queues=queues, bindings=bindings)

    def delete(self, where: Where) -> None:
        """Delete what the topology names, and nothing else. Safe to call twice.

        Queues go with the messages in them, and whether or not they have consumers. A queue
        whose name was left to the broker is deleted by the topology that `declare` returned.

        Args:
            where: a broker of `start_broker`, an AMQP URL, an open channel, or a session.

        Raises:
            BrokerError: the broker refuses, or is gone; names what was deleted until then.

        Source: https://www.rabbitmq.com/docs/queues
        """
        done: list[str] = []
        with _calls_to(where) as call:
            # All other bindings go with the exchanges and queues they belong to.
            for binding in self.bindings:
                if binding.exchange in PREDEFINED and binding.destination_exchange in PREDEFINED:
                    with step("delete", binding, done):
                        call(
                            "exchange_unbind",
                            destination=binding.destination_exchange,
                            source=binding.exchange,
                            routing_key=binding.routing_key,
                            arguments=dict(binding.arguments),
                        )
            for queue in self.queues:
                if queue.name:
                    with step("delete", queue, done):
                        call("queue_delete", queue=queue.name)
            for exchange in self.exchanges:
                with step("delete", exchange, done):
                    call("exchange_delete", exchange=exchange.name)

    def text(self) -> str:
        """Draw the topology as lines of text, the same for the same topology."""
        return _diagram.text(graph_of(self))

    def svg(self) -> str:
        """Draw the topology as an SVG picture, the same for the same topology."""
        return _diagram.svg(graph_of(self))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # No text/vnd.mermaid: JupyterLab prefers it, and then puts what Mermaid drew in the place
        # of our SVG, different each time, into the notebook that is saved.
        return {"image/svg+xml": self.svg(), "text/plain": self.text()}


def _declare_queue(call: Call, queue: Queue) -> str:
    """Declare a queue, and return the name that it has on the broker."""
    answer = call(
        "queue_declare",
        queue=queue.name,
        # The broker refuses a declaration by a name of its own making, even the same one.
        passive=queue.name.startswith(GENERATED),
        durable=queue.durable,
        exclusive=queue.exclusive,
        auto_delete=queue.auto_delete,
        arguments=_arguments(queue),
    )
    return str(answer.queue)


def _bind(call: Call, binding: Binding) -> None:
    how = {"routing_key": binding.routing_key, "arguments": dict(binding.arguments)}
    if binding.queue is None:
        call("exchange_bind", destination=binding.destination_exchange, source=binding.exchange, **how)
    else:
        call("queue_bind", queue=binding.queue, exchange=binding.exchange, **how)


def _with_names(binding: Binding, named: Mapping[str, str]) -> Binding:
    if binding.queue is None:
        return binding
    return dataclasses.replace(binding, queue=named.get(binding.queue, binding.queue))


@contextlib.contextmanager
def _calls_to(where: Where) -> Iterator[Call]:
    """Give what calls the methods of a channel by name, and returns the broker's answers."""
    if isinstance(where, Session):
        yield lambda method, **arguments: where.call(getattr(where.channel, method), **arguments)
        return
    with _channel_of(where) as channel:
        yield lambda method, **arguments: getattr(channel, method)(**arguments).method


@contextlib.contextmanager
def _channel_of(where: Broker | str | BlockingChannel) -> Iterator[BlockingChannel]:
    """Open a channel for us alone: the broker closes it with the first thing that it refuses."""
    if isinstance(where, BlockingChannel):
        try:
            channel = where.connection.channel()
        except amqp_errors.AMQPError as error:
            raise BrokerError(
                f"The channel's connection is gone ({error!r}). Next: open a new one"
            ) from error
        try:
            yield channel
        finally:
            _close(channel)
        return
    connection = connect(where, name="rmqlab-topology")
    try:
        yield connection.channel()
    finally:
        _close(connection)


def _close(thing: BlockingChannel | pika.BlockingConnection) -> None:
    if thing.is_open:
        with contextlib.suppress(amqp_errors.AMQPError):
            thing.close()


def _arguments(what: Exchange | Queue) -> dict[str, object]:
    """Give the arguments of a declaration: the named fields, and the rest."""
    if isinstance(what, Exchange):
        names = {"alternate-exchange"}
    else:
        names = ARGUMENTS.keys() - {"alternate-exchange"}
    named = {key: getattr(what, ARGUMENTS[key]) for key in sorted(names)}
    # False is left out: to the broker, an argument that is False is not one that is absent.
    return {key: value for key, value in named.items() if value is not None and value is not False} | dict(
        what.arguments
    )


def _check_name(name: str) -> None:
    if "\n" in name or "\r" in name:
        # RabbitMQ takes them out of names, and pika waits for ever for the name it asked for.
        raise ValueError(f"name is {name!r}; it goes on one line")


def _keep_arguments(what: Exchange | Queue | Binding) -> None:
    """Keep a copy of the arguments."""
    object.__setattr__(what, "arguments", dict(what.arguments))
