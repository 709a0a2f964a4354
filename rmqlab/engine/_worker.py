"""The engine's worker: takes tasks and does them."""

from __future__ import annotations

from collections.abc import Callable

from rmqlab import names
from rmqlab.amqp import Acks, ConsumeObserver, Recovery, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.amqp._work import FailurePolicy
from rmqlab.engine._body import Task
from rmqlab.engine._consumer import EngineConsumer
from rmqlab.engine._topology import TOPOLOGY


class EngineWorker(EngineConsumer[Task]):
    """Takes tasks from `engine:tasks` one after another and acknowledges each when done.

    The work is done in a thread of its own, so that the connection is kept alive while it
    takes long. A body that is not a task is logged and rejected. The worker belongs to the
    thread that made it; only `stop` may be called from another one.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or the URLs of several hosts of one
            cluster.
        execute: does the work of one task; an exception means that the task failed, and is
            logged.
        name: name of the worker, in logs and on the broker's management pages.
        queue: name of the queue.
        prefetch_count: how many unacknowledged messages the broker hands out at a time;
            0 is no limit.
        ack: when it acknowledges, such as `auto_ack()`; None is after each task.
        on_failure: the outcome of a task whose work failed: `requeue` puts it back into
            the queue, `reject-requeue` too, and a quorum queue's delivery limit counts it;
            `reject` drops it, `dead-letter` has the broker put it where the queue's dead
            letters go; for that, the topology's queue needs a place.
        topology: what is to be declared first; None is the engine's, `engine.TOPOLOGY`.
        recovery: how to go on when the connection is lost, or the broker ends the consumer;
            None ends it.
        observer: is told of every delivery; None tells nobody.

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
            Task,
            execute,
            name=name,
            queue=queue,
            topology=topology or TOPOLOGY,
            ack=ack,
            on_failure=on_failure,
            prefetch_count=prefetch_count,
            recovery=recovery,
            observer=observer,
        )
