"""The engine's worker: takes tasks and does them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmqlab import names
from rmqlab.amqp import Consumer, Topology
from rmqlab.amqp._session import BrokerTarget
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
        topology: what is declared first.
        options: further arguments of a `Consumer`: `ack`, `on_failure`, `recovery`, `observer`.

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
        topology: Topology = TOPOLOGY,
        **options: Any,
    ) -> None:
        super().__init__(
            broker,
            queue,
            handle_bodies(Task, execute, name),
            name=name,
            threaded=True,
            prefetch_count=prefetch_count,
            topology=topology,
            **options,
        )
