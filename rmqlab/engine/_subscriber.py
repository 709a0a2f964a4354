"""The engine's subscriber: receives events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmqlab import names
from rmqlab.amqp import Binding, Consumer, Exchange, Queue, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.amqp._work import FailurePolicy
from rmqlab.engine._body import Event
from rmqlab.engine._reading import handle_bodies


class EventSubscriber(Consumer):
    """Receives every event that is published while its queue exists.

    Without a name, the queue is the subscriber's own: it begins with it and goes with its
    connection. A queue with a name is durable, and keeps what is published while the subscriber
    is away; subscribers that share a name share the events. It runs, stops and closes as a
    `Consumer`.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or the URLs of several hosts of one
            cluster.
        handle: is called with each event; an exception means that it failed, and is logged.
        name: name of the subscriber, in logs and on the broker's management pages.
        queue: name of its durable queue, such as `engine:events:billing`; None for one of
            its own.
        on_failure: the outcome of an event that failed. `reject` drops it: an event is news, which
            is soon out of date, and not work that somebody waits for. `requeue` puts it back.
        options: further arguments of a `Consumer`: `prefetch_count`, `ack`, `recovery`, `observer`.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        TopologyMismatchError: the broker has an exchange or a queue of the same name with
            other properties.
        ValueError: an argument is out of range.

    Source: https://www.rabbitmq.com/docs/queues#exclusive-queues
    """

    def __init__(
        self,
        broker: BrokerTarget,
        handle: Callable[[Event], object],
        *,
        name: str = "event-subscriber",
        queue: str | None = None,
        on_failure: FailurePolicy = "reject",
        **options: Any,
    ) -> None:
        own = queue or ""
        super().__init__(
            broker,
            own,
            handle_bodies(Event, handle, name),
            name=name,
            threaded=True,
            topology=Topology(
                exchanges=(Exchange(name=names.EVENTS, type="fanout"),),
                queues=(Queue(name=own, durable=bool(queue), exclusive=not queue),),
                bindings=(Binding(exchange=names.EVENTS, queue=own),),
            ),
            on_failure=on_failure,
            **options,
        )
