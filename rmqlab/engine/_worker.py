"""The consuming side of the engine."""

from __future__ import annotations

from collections.abc import Callable

import pika

from rmqlab import names
from rmqlab.amqp import ConsumeObserver, Consumer, FailurePolicy
from rmqlab.broker import Broker
from rmqlab.closing import Closing
from rmqlab.engine._api import declare_tasks
from rmqlab.engine._task import Task
from rmqlab.errors import InvalidTaskError, RejectError


class EngineWorker(Closing):
    """Takes tasks from `engine:tasks` one after another and acknowledges each when done.

    The work is done in a thread of its own, so that the connection is kept alive while it
    takes long. A body that is not a task is logged and rejected. The worker belongs to the
    thread that made it; only `stop` may be called from another one.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        execute: does the work of one task; an exception means that the task failed, and is
            logged.
        name: name of the worker, in logs and on the broker's management pages.
        prefetch_count: how many unacknowledged messages the broker hands out at a time;
            0 is no limit.
        on_failure: what becomes of a task whose work failed: `requeue` puts it back into
            the queue, `reject` drops it (or dead-letters it, where the queue says so).
        observer: is told of every delivery; None tells nobody.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        ChannelClosedError: there is a queue `engine:tasks` with other properties.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        broker: Broker | str,
        execute: Callable[[Task], object],
        *,
        name: str = "engine-worker",
        prefetch_count: int = 1,
        on_failure: FailurePolicy = "requeue",
        observer: ConsumeObserver | None = None,
    ) -> None:
        self.name = name
        self._execute = execute
        self._consumer = Consumer(
            broker,
            names.TASKS,
            self._on_message,
            prefetch_count=prefetch_count,
            on_failure=on_failure,
            threaded=True,
            observer=observer,
            name=name,
        )
        try:
            declare_tasks(broker)
        except BaseException:
            self.close()
            raise

    def run(self, *, max_tasks: int | None = None) -> int:
        """Consume tasks until `stop` is called, or until so many are done.

        Args:
            max_tasks: how many deliveries to settle, whatever their outcome; None is no limit.

        Returns:
            How many deliveries were settled: acknowledged, requeued or rejected.

        Raises:
            BrokerError: the broker closed the connection, or cancelled the consumer.
            ValueError: `max_tasks` is below 1.
        """
        if max_tasks is not None and max_tasks < 1:
            raise ValueError(f"max_tasks is {max_tasks}; it goes from 1, or is None for no limit")
        return self._consumer.run(count=max_tasks)

    def stop(self) -> None:
        """Let `run` return once the task in hand is settled, and not begin again.

        May be called from any thread, also before `run`.
        """
        self._consumer.stop()

    def close(self) -> None:
        """Close the connection; what was not acknowledged goes back to the queue."""
        self._consumer.close()

    def _on_message(
        self, _method: pika.spec.Basic.Deliver, _properties: pika.BasicProperties, body: bytes
    ) -> None:
        try:
            task = Task.decode(body)
        except InvalidTaskError as error:
            # No retry can mend it: requeueing would only bring it back, for ever.
            raise RejectError(str(error)) from error
        try:
            self._execute(task)
        except Exception as error:
            error.add_note(f"while working on a task of {task.engine_id}")
            raise
