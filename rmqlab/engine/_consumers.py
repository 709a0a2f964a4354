"""The engine's consumers: workers, which take tasks, and subscribers, which receive events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pika

from rmqlab import names
from rmqlab.amqp import Binding, Consumer, Exchange, Queue, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.amqp._work import FailurePolicy, OnMessage
from rmqlab.engine._body import Body, Event, Task
from rmqlab.engine._topology import TOPOLOGY
from rmqlab.errors import InvalidMessageError, RejectError

B = TypeVar("B", bound=Body)


class EngineWorker(Consumer):
    """Takes tasks from `engine:tasks` one after another and acknowledges each when it is done.

    The work is done in a thread of its own, so that heartbeats are answered while it takes long.
    A body that is not a task is logged and rejected. It runs, stops and closes as a `Consumer`.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or those of several hosts of one cluster.
        execute: does the work of one task; an exception means that it failed, and is logged.
        name: name of the worker, in logs and on the broker's management pages.
        queue: name of the queue.
        prefetch_count: how many unacknowledged messages the broker hands out at a time; 0 is
            no limit.
        topology: what is declared first.
        options: further arguments of a `Consumer`: `ack`, `on_failure`, `recovery`, `observer`.

    Raises:
        As `Consumer`.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        execute: Callable[[Task], object],
        *,
        name: str = "engine-worker",
        queue: str = names.TASKS,
        prefetch_count: int = 1,
        topology: Topology = TOPOLOGY,
        **options: Any,
    ) -> None:
        super().__init__(
            broker,
            queue,
            _handler_of(Task, execute, name),
            name=name,
            threaded=True,
            prefetch_count=prefetch_count,
            topology=topology,
            **options,
        )


class EventSubscriber(Consumer):
    """Receives every event that is published while its queue exists.

    Without a name, the queue is the subscriber's own: it begins with it and goes with its
    connection. A queue with a name is durable, and keeps what is published while the subscriber
    is away; subscribers that share a name share the events. It works as an `EngineWorker` else.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or those of several hosts of one cluster.
        handle: is called with each event; an exception means that it failed, and is logged.
        name: name of the subscriber, in logs and on the broker's management pages.
        queue: name of its durable queue, such as `engine:events:billing`; None for one of
            its own.
        on_failure: the outcome of an event that failed. `reject` drops it: an event is news, which
            is soon out of date, and not work that somebody waits for. `requeue` puts it back.
        options: further arguments of a `Consumer`: `prefetch_count`, `ack`, `recovery`, `observer`.

    Raises:
        As `Consumer`.

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
        topology = Topology(
            exchanges=(Exchange(name=names.EVENTS, type="fanout"),),
            queues=(Queue(name=own, durable=bool(queue), exclusive=not queue),),
            bindings=(Binding(exchange=names.EVENTS, queue=own),),
        )
        super().__init__(
            broker,
            own,
            _handler_of(Event, handle, name),
            name=name,
            threaded=True,
            topology=topology,
            on_failure=on_failure,
            **options,
        )


def _handler_of(kind: type[B], handle: Callable[[B], object], name: str) -> OnMessage:
    """Return what a consumer calls with each message: it reads the body, and hands it on."""

    def on_message(_method: pika.spec.Basic.Deliver, _properties: pika.BasicProperties, body: bytes) -> None:
        try:
            content = kind.decode(body)
        except InvalidMessageError as error:
            # No retry can mend it: requeueing would only bring it back, for ever.
            raise RejectError(str(error)) from error
        try:
            handle(content)
        except Exception as error:
            error.add_note(f"while {name} handled the {kind.__name__.lower()} of {content.engine_id}")
            raise

    return on_message
