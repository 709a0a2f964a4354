"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmqlab.amqp import _diagram
from rmqlab.amqp._definitions import Binding, Exchange, Queue
from rmqlab.amqp._graph import graph_of
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.broker._connection import RESOURCE_LOCKED
from rmqlab.errors import ChannelClosedError, TopologyMismatchError
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
        graph = graph_of(self)
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
