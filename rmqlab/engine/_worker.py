"""The consuming side of the engine."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, get_args

import pika
from pika import exceptions as amqp_errors
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.engine._api import declare_tasks
from rmqlab.engine._task import Task
from rmqlab.errors import BrokerError, InvalidTaskError

logger = logging.getLogger("rmqlab.engine")

FailurePolicy = Literal["requeue", "reject"]
Outcome = Literal["acked", "requeued", "rejected"]

MAX_PREFETCH = 65535  # AMQP has 16 bits for it
RESTART = "Next: see that the broker runs and has the queue, and start the worker again"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message handed to a worker.

    Attributes:
        message_id: identity that the publisher gave the message; empty if it gave none.
        redelivered: whether the broker may have delivered it before.
        worker: name of the worker.
    """

    message_id: str
    redelivered: bool
    worker: str


class Observer(Protocol):
    """Is told what happens to each message of a worker, by the worker's thread."""

    def delivered(self, delivery: Delivery) -> None:
        """A message arrived at the worker."""
        ...

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """The worker has told the broker what became of the message."""
        ...


class EngineWorker:
    """Takes tasks from `engine:tasks` one after another and acknowledges each when done.

    It belongs to the thread that made it; only `stop` may be called from another one.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        execute: does the work of one task; an exception means that the task failed.
        name: name of the worker, in logs and on the broker's management pages.
        prefetch_count: how many unacknowledged messages the broker hands out at a time;
            0 is no limit.
        on_failure: what becomes of a task whose work failed: `requeue` puts it back into
            the queue, `reject` drops it (or dead-letters it, where the queue says so).
        observer: is told of every delivery; None tells nobody.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        BrokerError: the queue cannot be declared.
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
        observer: Observer | None = None,
    ) -> None:
        if not 0 <= prefetch_count <= MAX_PREFETCH:
            raise ValueError(
                f"prefetch_count is {prefetch_count}; it goes from 0 (no limit) to {MAX_PREFETCH}"
            )
        if on_failure not in get_args(FailurePolicy):
            raise ValueError(f"on_failure is {on_failure!r}; it is one of {get_args(FailurePolicy)}")
        self.name = name
        self._execute = execute
        self._on_failure = on_failure
        self._observer = observer
        self._limit: int | None = None
        self._settled = 0
        self._stopping = threading.Event()
        self._cancelled = False
        self._connection = connect(broker, name=name)
        try:
            self._channel = self._connection.channel()
            declare_tasks(self._channel)
            self._channel.basic_qos(prefetch_count=prefetch_count)
            self._channel.add_on_cancel_callback(self._on_cancel)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> EngineWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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
        self._limit, self._settled = max_tasks, 0
        if self._stopping.is_set():
            return 0
        try:
            self._channel.basic_consume(queue=names.TASKS, on_message_callback=self._on_message)
            self._channel.start_consuming()
        except amqp_errors.AMQPError as error:
            raise BrokerError(f"{self._lost('lost the broker')} ({error!r}). {RESTART}") from error
        if self._cancelled:
            # pika returns here without a word, and a worker that just ends is easily missed.
            raise BrokerError(f"{self._lost('was cancelled by the broker: its queue is gone')}. {RESTART}")
        return self._settled

    def stop(self) -> None:
        """Let `run` return once the task in hand is settled, and not begin again.

        May be called from any thread, also before `run`.
        """
        self._stopping.set()
        with contextlib.suppress(amqp_errors.ConnectionWrongStateError):
            self._connection.add_callback_threadsafe(self._stop_consuming)

    def close(self) -> None:
        """Close the connection; what was not acknowledged goes back to the queue."""
        if self._connection.is_open:
            self._connection.close()

    def _on_message(
        self,
        channel: BlockingChannel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        delivery = Delivery(properties.message_id or "", bool(method.redelivered), self.name)
        if self._observer:
            self._observer.delivered(delivery)
        outcome = self._work_on(body, delivery)
        tag = method.delivery_tag
        if outcome == "acked":
            channel.basic_ack(tag)
        else:
            channel.basic_nack(tag, requeue=outcome == "requeued")
        if self._observer:
            self._observer.settled(delivery, outcome)
        self._settled += 1
        if self._settled == self._limit or self._stopping.is_set():
            # Not only by `stop`'s callback: pika would first hand over all it has prefetched.
            self._stop_consuming()

    def _work_on(self, body: bytes, delivery: Delivery) -> Outcome:
        try:
            task = Task.decode(body)
        except InvalidTaskError as error:
            # No retry can mend it: requeueing would only bring it back, for ever.
            logger.error("message %s rejected: %s", delivery.message_id or "without id", error)
            return "rejected"
        try:
            self._execute(task)
        except Exception:
            logger.exception("task %s of %s failed", delivery.message_id or "without id", task.engine_id)
            return "requeued" if self._on_failure == "requeue" else "rejected"
        return "acked"

    def _stop_consuming(self) -> None:
        self._channel.stop_consuming()

    def _on_cancel(self, _: object) -> None:
        self._cancelled = True

    def _lost(self, how: str) -> str:
        return f"Worker {self.name} {how} after {self._settled} tasks"
