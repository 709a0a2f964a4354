"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rmqlab.amqp import _diagram
from rmqlab.amqp._definitions import Binding, Exchange, Named, Queue
from rmqlab.amqp._graph import graph_of
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.broker._connection import PRECONDITION_FAILED, RESOURCE_LOCKED
from rmqlab.errors import BrokerError, ChannelClosedError, TopologyMismatchError
from rmqlab.interrupts import deferred


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

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            object.__setattr__(self, each.name, tuple(getattr(self, each.name)))

    def declare(self, broker: Broker | str | Session) -> Topology:
        """Declare the exchanges, then the queues, then the bindings.

        A second call changes nothing. A topology with an exclusive queue is declared by the
        `Consumer` that it is given to, as the queue ends with its connection.

        Args:
            broker: a broker of `start_broker`, or an AMQP URL.

        Returns:
            This topology, with the name that the broker gave to the queue that had none.

        Raises:
            TopologyMismatchError: the broker has an exchange or a queue of that name with other
                settings; names the first that differs.
            BrokerError: the broker refuses something else, or is gone. A refusal names what was
                declared before; it stays.
            ValueError: there is an exclusive queue.

        Source: https://www.rabbitmq.com/docs/queues (property equivalence)
        """
        exclusive = next((each.name for each in self.queues if each.exclusive), None)
        if exclusive is not None and not isinstance(broker, Session):
            raise ValueError(
                f"Queue {exclusive!r} is exclusive, and would end with the connection that this call opens "
                "and closes; give the topology to a Consumer, or set exclusive to False"
            )
        done: list[str] = []
        with _session(broker) as session:
            for exchange in self.exchanges:
                with _step("declare", exchange, done):
                    session.call(
                        session.channel.exchange_declare,
                        exchange=exchange.name,
                        exchange_type=exchange.type,
                        durable=exchange.durable,
                        auto_delete=exchange.auto_delete,
                        arguments=exchange.all_arguments(),
                    )
            queues = tuple(_declare_queue(session, queue, done) for queue in self.queues)
            names = {old.name: new.name for old, new in zip(self.queues, queues, strict=True)}
            bindings = tuple(
                dataclasses.replace(each, queue=names.get("", "")) if each.queue == "" else each
                for each in self.bindings
            )
            for binding in bindings:
                with _step("declare", binding, done):
                    session.call(
                        session.channel.queue_bind,
                        queue=binding.queue,
                        exchange=binding.exchange,
                        routing_key=binding.routing_key,
                    )
        return dataclasses.replace(self, queues=queues, bindings=bindings)

    def delete(self, broker: Broker | str) -> None:
        """Delete what the topology names, and nothing else. Safe to call twice.

        Queues are deleted with their messages, also while they have consumers; bindings with
        their exchanges and queues. A queue that the broker named is deleted by the topology that
        `declare` returned.

        Args:
            broker: a broker of `start_broker`, or an AMQP URL.

        Raises:
            BrokerError: the broker refuses, or is gone. A refusal names what was deleted before.

        Source: https://www.rabbitmq.com/docs/queues
        """
        done: list[str] = []
        with _session(broker) as session:
            for queue in self.queues:
                if queue.name:
                    with _step("delete", queue, done):
                        session.call(session.channel.queue_delete, queue=queue.name)
            for exchange in self.exchanges:
                with _step("delete", exchange, done):
                    session.call(session.channel.exchange_delete, exchange=exchange.name)

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


def _declare_queue(session: Session, queue: Queue, done: list[str]) -> Queue:
    with _step("declare", queue, done):
        answer = session.call(
            session.channel.queue_declare,
            queue=queue.name,
            durable=queue.durable,
            exclusive=queue.exclusive,
            auto_delete=queue.auto_delete,
            arguments=queue.all_arguments(),
        )
    return dataclasses.replace(queue, name=str(answer.queue))


@contextlib.contextmanager
def _step(verb: Literal["declare", "delete"], what: Named | Binding, done: list[str]) -> Iterator[None]:
    """Turn the broker's refusal into an error that names the object, the reason, and the steps before."""
    try:
        yield
    except ChannelClosedError as error:
        code, said = error.reply_code, error.reply_text
        reason = f"({said}); {verb}d before it: {', '.join(done) or 'nothing'}"
        if isinstance(what, Named) and (code == RESOURCE_LOCKED or "inequivalent arg" in said):
            raise TopologyMismatchError(
                f"The broker has the {what} with other settings {reason}. "
                "Next: delete it, or describe it as the broker has it",
                name=what.name,
            ) from error
        advice = (
            "correct the setting that it names"
            if code == PRECONDITION_FAILED
            else "see that the user may do so, and that what it refers to is there"
        )
        raise BrokerError(f"The broker refuses to {verb} the {what} {reason}. Next: {advice}") from error
    done.append(str(what))


@contextlib.contextmanager
def _session(broker: Broker | str | Session) -> Iterator[Session]:
    """Yield the session, or one of its own for a broker."""
    with deferred:
        if isinstance(broker, Session):
            yield broker
            return
        with contextlib.closing(Session(broker, name="rmqlab-topology")) as session:
            yield session
