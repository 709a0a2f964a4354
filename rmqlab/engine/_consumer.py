"""What the engine's workers and its subscribers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import pika

from rmqlab.amqp import Acks, ConsumeObserver, Consumer, Recovery, Topology
from rmqlab.amqp._session import BrokerTarget
from rmqlab.amqp._work import FailurePolicy
from rmqlab.closing import Closing
from rmqlab.engine._body import Body
from rmqlab.errors import InvalidMessageError, RejectError

B = TypeVar("B", bound=Body)


class EngineConsumer(Closing, Generic[B]):
    """Reads bodies from a queue and hands each to a function, one after another.

    The function is called in a thread of its own, so that the connection is kept alive while
    it takes long. A body that cannot be read is logged and rejected. It belongs to the thread
    that made it; only `stop` may be called from another one.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or the URLs of several hosts of one
            cluster.
        kind: what the bodies are.
        handle: is called with each; an exception means that it failed, and is logged.
        name: name of the connection, in logs and on the broker's management pages.
        queue, topology, ack, on_failure, prefetch_count, recovery, observer: as in `Consumer`.

    Attributes:
        name: name of the connection.
        queue: name of the queue.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        kind: type[B],
        handle: Callable[[B], object],
        *,
        name: str,
        queue: str,
        topology: Topology,
        ack: Acks | None,
        on_failure: FailurePolicy,
        prefetch_count: int,
        recovery: Recovery | None,
        observer: ConsumeObserver | None,
    ) -> None:
        self.name = name
        self._kind = kind
        self._handle = handle
        self._consumer = Consumer(
            broker,
            queue,
            self._on_message,
            ack=ack,
            on_failure=on_failure,
            prefetch_count=prefetch_count,
            threaded=True,
            topology=topology,
            recovery=recovery,
            observer=observer,
            name=name,
        )
        self.queue = self._consumer.queue

    def run(
        self, *, count: int | None = None, idle_s: float | None = None, for_s: float | None = None
    ) -> int:
        """Consume until `stop` is called, or until one of the bounds is reached.

        Args:
            count: so many deliveries are settled, whatever their outcome.
            idle_s: none has come for so many seconds.
            for_s: so many seconds have passed.

        Returns:
            How many deliveries were settled: acknowledged, requeued or rejected.

        Raises:
            Crash: the function raised it.
            BrokerError: the broker closed the connection, or cancelled the consumer.
            ValueError: `count` is below 1.
        """
        return self._consumer.run(count=count, idle_s=idle_s, for_s=for_s)

    def stop(self) -> None:
        """Let `run` return once the delivery in hand is settled, and not begin again.

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
            content = self._kind.decode(body)
        except InvalidMessageError as error:
            # No retry can mend it: requeueing would only bring it back, for ever.
            raise RejectError(str(error)) from error
        try:
            self._handle(content)
        except Exception as error:
            error.add_note(f"while {self.name} handled the {content.kind} of {content.engine_id}")
            raise
