"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pika import exceptions as amqp_errors
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.amqp import _diagram
from rmqlab.amqp._definitions import Binding, Described, Exchange, Queue
from rmqlab.amqp._graph import graph_of
from rmqlab.amqp._refusals import step
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.interrupts import deferred

# Calls one of a channel's methods by name, and gives the broker's answer.
Call = Callable[..., Any]
Target: TypeAlias = Broker | str | BlockingChannel | Session


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Topology(Described):
    """Exchanges, queues, and the bindings between them.

    A notebook shows it as a picture.

    Attributes:
        exchanges: the exchanges to declare; the predefined ones need not be among them.
        queues: the queues to declare; the broker names one that is called "".
        bindings: the bindings, between exchanges and queues named above, or others that are there.

    Source: https://www.rabbitmq.com/tutorials/amqp-concepts
    """

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            object.__setattr__(self, each.name, tuple(getattr(self, each.name)))

    def declare(self, broker: Target) -> Topology:
        """Declare the exchanges, then the queues, then the bindings.

        A second call changes nothing.

        Args:
            broker: a broker of `start_broker`, an AMQP URL, or an open channel, which stays open:
                another one of its connection does the work. A topology with an exclusive queue
                needs a channel, as the queue ends with its connection.

        Returns:
            This topology, with the name that the broker gave to the queue that had none.

        Raises:
            TopologyMismatchError: the broker has an exchange or a queue of that name with other
                settings; names the first field that differs.
            BrokerError: the broker refuses something else, or is gone. Both errors name what was
                declared before; it stays.
            ValueError: there is an exclusive queue, and no channel for it.

        Source: https://www.rabbitmq.com/docs/queues (property equivalence)
        """
        exclusive = next((each.name for each in self.queues if each.exclusive), None)
        if exclusive is not None and not isinstance(broker, BlockingChannel | Session):
            raise ValueError(
                f"Queue {exclusive!r} is exclusive, and would end with the connection that this call opens "
                "and closes; give a channel, or set exclusive to False"
            )
        done: list[str] = []
        named: dict[str, str] = {}
        with _calls_to(broker) as call:
            for exchange in self.exchanges:
                with step("declare", exchange, done):
                    call(
                        "exchange_declare",
                        exchange=exchange.name,
                        exchange_type=exchange.type,
                        durable=exchange.durable,
                        auto_delete=exchange.auto_delete,
                        internal=exchange.internal,
                        arguments=exchange.all_arguments(),
                    )
            for queue in self.queues:
                with step("declare", queue, done):
                    answer = call(
                        "queue_declare",
                        queue=queue.name,
                        durable=queue.durable,
                        exclusive=queue.exclusive,
                        auto_delete=queue.auto_delete,
                        arguments=queue.all_arguments(),
                    )
                    named[queue.name] = str(answer.queue)
            bindings = tuple(
                dataclasses.replace(each, queue=named.get("", "")) if each.queue == "" else each
                for each in self.bindings
            )
            for binding in bindings:
                with step("declare", binding, done):
                    _bind(call, binding)
        queues = tuple(dataclasses.replace(each, name=named[each.name]) for each in self.queues)
        return dataclasses.replace(self, queues=queues, bindings=bindings)

    def delete(self, broker: Target) -> None:
        """Delete what the topology names, and nothing else. Safe to call twice.

        Queues are deleted with their messages, also while they have consumers; bindings with
        their exchanges and queues. A queue that the broker named is deleted by the topology that
        `declare` returned.

        Args:
            broker: a broker of `start_broker`, an AMQP URL, or an open channel.

        Raises:
            BrokerError: the broker refuses, or is gone; names what was deleted before.

        Source: https://www.rabbitmq.com/docs/queues
        """
        done: list[str] = []
        with _calls_to(broker) as call:
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


def _bind(call: Call, binding: Binding) -> None:
    how = {"routing_key": binding.routing_key, "arguments": dict(binding.arguments)}
    if binding.queue is None:
        call("exchange_bind", destination=binding.destination_exchange, source=binding.exchange, **how)
    else:
        call("queue_bind", queue=binding.queue, exchange=binding.exchange, **how)


@contextlib.contextmanager
def _calls_to(broker: Target) -> Iterator[Call]:
    """Return a function that calls a channel's method by name, and returns the broker's answer."""
    if isinstance(broker, BlockingChannel):
        # Another one: the broker closes a channel with the first thing that it refuses.
        try:
            channel = broker.connection.channel()
        except amqp_errors.AMQPError as error:
            raise BrokerError(f"The connection is gone ({error!r}). Next: open a new one") from error
        try:
            yield lambda method, **arguments: getattr(channel, method)(**arguments).method
        finally:
            if channel.is_open:
                channel.close()
        return
    with deferred, contextlib.ExitStack() as stack:
        if not isinstance(broker, Session):
            broker = stack.enter_context(contextlib.closing(Session(broker, name="rmqlab-topology")))
        session = broker
        yield lambda method, **arguments: session.call(getattr(session.channel, method), **arguments)


def name_on_broker(queue: str, wanted: Topology, declared: Topology) -> str:
    """Return a queue's name; that of the queue without one is the broker's."""
    for before, after in zip(wanted.queues, declared.queues, strict=True):
        if before.name == queue:
            return after.name
    return queue
