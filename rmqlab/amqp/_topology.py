"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rmqlab.amqp import _diagram
from rmqlab.amqp._graph import DEFAULT_EXCHANGE, Graph, Node
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.broker._connection import RESOURCE_LOCKED
from rmqlab.errors import ChannelClosedError, TopologyMismatchError
from rmqlab.interrupts import deferred

ExchangeType = Literal["direct", "fanout", "topic"]
QueueType = Literal["classic", "quorum"]
# What a picture of a queue has elsewhere than in lines of their own.
SHOWN_ELSEWHERE = ("name", "type", "dead_letter_exchange", "dead_letter_routing_key", "arguments")


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

    Raises:
        ValueError: the name has two lines.

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

    def __post_init__(self) -> None:
        if "\n" in self.name or "\r" in self.name:
            # RabbitMQ takes them out of names, and pika waits for an answer with the name it asked for.
            raise ValueError(f"name is {self.name!r}; it goes on one line")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Exchanges, queues, and the bindings between them.

    A notebook shows it as a picture.

    Attributes:
        exchanges: the exchanges to declare; the predefined ones need not be among them.
        queues: the queues to declare; the broker names one that is called "".
        bindings: the bindings, from exchanges to queues named above, or others that are there.

    Source: https://www.rabbitmq.com/tutorials/amqp-concepts
    """

    exchanges: Sequence[Exchange] = ()
    queues: Sequence[Queue] = ()
    bindings: Sequence[Binding] = ()

    def declare(self, broker: Broker | str | Session) -> Topology:
        """Declare the exchanges, then the queues, then the bindings; a second call changes nothing.

        Args:
            broker: a broker of `start_broker`, or an AMQP URL.

        Returns:
            This topology, with the name that the broker gave to the queue that had none.

        Raises:
            TopologyMismatchError: the broker has an exchange or a queue of that name with other
                settings; names the first that differs.
            ChannelClosedError: the broker refuses something else. What was declared before stays.
            BrokerError: the broker is gone.

        Source: https://www.rabbitmq.com/docs/queues (property equivalence)
        """
        with _session(broker) as session:
            for exchange in self.exchanges:
                with _explained(f"exchange {exchange.name!r}"):
                    session.call(
                        session.channel.exchange_declare,
                        exchange=exchange.name,
                        exchange_type=exchange.type,
                        durable=True,
                    )
            queues = [_declare_queue(session, queue) for queue in self.queues]
            names = {old.name: new.name for old, new in zip(self.queues, queues, strict=True)}
            bindings = [
                dataclasses.replace(each, queue=names.get(each.queue, each.queue)) for each in self.bindings
            ]
            for binding in bindings:
                session.call(session.channel.queue_bind, **dataclasses.asdict(binding))
        return dataclasses.replace(self, queues=queues, bindings=bindings)

    def delete(self, broker: Broker | str) -> None:
        """Delete what the topology names, and nothing else. Safe to call twice.

        Queues are deleted with their messages, also while they have consumers; bindings with
        their exchanges and queues. A queue that the broker named is deleted by the topology that
        `declare` returned.

        Args:
            broker: a broker of `start_broker`, or an AMQP URL.

        Raises:
            BrokerError: the broker refuses, or is gone.

        Source: https://www.rabbitmq.com/docs/queues
        """
        with _session(broker) as session:
            for queue in self.queues:
                if queue.name:
                    session.call(session.channel.queue_delete, queue=queue.name)
            for exchange in self.exchanges:
                session.call(session.channel.exchange_delete, exchange=exchange.name)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # No text/vnd.mermaid: JupyterLab prefers it, and then puts what Mermaid drew in the place
        # of our SVG, different each time, into the notebook that is saved.
        graph = _graph_of(self)
        return {"image/svg+xml": _diagram.svg(graph), "text/plain": _diagram.text(graph)}


def _declare_queue(session: Session, queue: Queue) -> Queue:
    with _explained(f"queue {queue.name!r}"):
        answer = session.call(
            session.channel.queue_declare,
            queue=queue.name,
            durable=queue.durable,
            exclusive=queue.exclusive,
            auto_delete=queue.auto_delete,
            arguments=queue.all_arguments(),
        )
    return dataclasses.replace(queue, name=answer.queue)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn the broker's refusal of what it has otherwise into an error that names it."""
    try:
        yield
    except ChannelClosedError as error:
        if error.reply_code != RESOURCE_LOCKED and "inequivalent arg" not in error.reply_text:
            raise
        raise TopologyMismatchError(
            f"The broker has the {what} with other settings ({error.reply_text}). "
            "Next: delete it, or describe it as the broker has it"
        ) from error


@contextlib.contextmanager
def _session(broker: Broker | str | Session) -> Iterator[Session]:
    """Yield the session, or one of its own for a broker."""
    with deferred:
        if isinstance(broker, Session):
            yield broker
            return
        with contextlib.closing(Session(broker, name="rmqlab-topology").open()) as session:
            yield session


def _graph_of(topology: Topology) -> Graph:
    """Turn what a topology names, or only refers to, into nodes and edges."""
    graph = Graph()
    for exchange in topology.exchanges:
        key = ("exchange", exchange.name)
        graph.nodes[key] = Node(key, (exchange.type,))
    for queue in topology.queues:
        key = ("queue", queue.name)
        graph.nodes[key] = Node(key, _lines(queue))
    for binding in topology.bindings:
        source, target = ("exchange", binding.exchange), ("queue", binding.queue)
        graph.link(source, target, binding.routing_key, "binding")
    for queue in topology.queues:
        if queue.dead_letter_exchange is not None:
            routing_key, label = queue.dead_letter_routing_key or "", "dead letter"
            target = ("exchange", queue.dead_letter_exchange)
            if target == DEFAULT_EXCHANGE and ("queue", routing_key) in graph.nodes:
                target = ("queue", routing_key)  # the default exchange hands them straight to it
            elif routing_key:
                label += f", {routing_key}"
            graph.link(("queue", queue.name), target, label, "dead letter")
    graph.add_publishers()
    return graph


def _lines(queue: Queue) -> tuple[str, ...]:
    """Describe in short lines what sort of queue it is."""
    values = {
        each: getattr(queue, each.name)
        for each in dataclasses.fields(queue)
        if each.name not in SHOWN_ELSEWHERE
    }
    lines = [f"{each.name} {value}" for each, value in values.items() if value != each.default]
    return queue.type, *lines, *(f"{name} {value}" for name, value in queue.arguments.items())
