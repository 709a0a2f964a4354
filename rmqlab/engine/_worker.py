"""The engine's worker: takes tasks and does them."""

from __future__ import annotations

from collections.abc import Callable

from rmqlab import names
from rmqlab.amqp import Acks, ConsumeObserver, Consumer, Recovery, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.amqp._work import FailurePolicy
from rmqlab.engine._body import Task
from rmqlab.engine._reading import handle_bodies
from rmqlab.engine._topology import TOPOLOGY


class EngineWorker(Consumer):
    """Takes tasks from `engine:tasks` one after another and acknowledges each when it is done.

    The work is done in a thread of its own, so that heartbeats are answered while it takes long.
    A body that is not a task is logged and rejected. It runs, stops and closes as a `Consumer`.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or the URLs of several hosts of one
            cluster.
        execute: does the work of one task; an exception means that it failed, and is logged.
        name: name of the worker, in logs and on the broker's management pages.
        queue: name of the queue.
        prefetch_count: how many unacknowledged messages the broker hands out at a time; 0 is
            no limit.
        ack: when it acknowledges, such as `auto_ack()`; None is after each task.
        on_failure: the outcome of a task whose work failed, as in `Consumer`.
        topology: what is declared first; None is the engine's, `engine.TOPOLOGY`.
        recovery: how to go on when the connection is lost; None ends the worker.
        observer: receives every delivery and its outcome.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        TopologyMismatchError: the broker has an exchange or a queue of the same name with
            other properties.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        execute: Callable[[Task], object],
        *,
        name: str = "engine-worker",
        queue: str = names.TASKS,
        prefetch_count: int = 1,
        ack: Acks | None = None,
        on_failure: FailurePolicy = "requeue",
        topology: Topology | None = None,
        recovery: Recovery | None = None,
        observer: ConsumeObserver | None = None,
    ) -> None:
        super().__init__(
            broker,
            queue,
            handle_bodies(Task, execute, name),
            name=name,
            threaded=True,
            topology=topology or TOPOLOGY,
            ack=ack,
            on_failure=on_failure,
            prefetch_count=prefetch_count,
            recovery=recovery,
            observer=observer,
        )
