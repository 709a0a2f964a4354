"""Consume messages, and settle each by a policy."""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import time
import uuid

import pika
from pika.channel import Channel

from rmqlab.amqp._recovery import Recovery
from rmqlab.amqp._session import OPEN_TIMEOUT_S, STOP_LIMIT_S, BrokerTarget, Session
from rmqlab.amqp._settle import Acks, ConsumeObserver, Settlement, ack_each
from rmqlab.amqp._topology import Topology
from rmqlab.amqp._work import Crash, FailurePolicy, Message, OnMessage, Work, check_policy
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError, ConsumerCancelledError, StoppedError
from rmqlab.interrupts import deferred

logger = logging.getLogger("rmqlab.amqp")

# An ack that waits for others is sent when nothing has come for so long.
FLUSH_AFTER_S = 0.05
# Work that takes longer than this is not held up for others to be acknowledged with it.
SEND_AFTER_S = 0.001


class Consumer(Closing):
    """Takes messages from a queue and settles each: acknowledged, requeued or rejected.

    Use it as a context manager, or close it. It belongs to one thread; only `stop` may be
    called from another one. After Ctrl-C, at whatever moment, `run` can be called again: the
    message whose work was interrupted, and those behind it, went back to their queue.

    With a recovery it survives the loss of its connection, and the end of its queue where the
    topology has it. What was not acknowledged comes again, and is done twice.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or those of several hosts of one cluster.
        queue: name of the queue; empty for the topology's queue that the broker names.
        on_message: does the work of one message; an exception means that it failed. None does nothing.
        ack: when it acknowledges; None is `ack_each()`.
        on_failure: the outcome of a message whose work failed. `requeue` puts it back
            (`basic.nack`), and so does `reject-requeue` (`basic.reject`), which every version of
            RabbitMQ counts against a quorum queue's delivery limit. `reject` drops it, or
            dead-letters it where its queue says so. `dead-letter` is `reject` where the topology
            shows that the queue does. A `RejectError` rejects the message in any case.
        prefetch_count: how many unacknowledged messages the broker hands out at a time, 65,535 at
            most; 0 is no limit.
        threaded: whether the work is done in a thread, one message after another, so that
            heartbeats are answered while it takes long.
        topology: what is declared first, on this consumer's connection.
        recovery: how to go on when the connection or the queue is lost; None ends the consumer.
        observer: receives every delivery and its outcome.
        name: the connection's name, as the broker's management pages show it.

    Attributes:
        queue: name of the queue.
        name: the connection's name.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        BrokerError: the broker refuses the topology.
        ValueError: there is no such `on_failure`, or no place for dead letters.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        queue: str,
        on_message: OnMessage | None = None,
        *,
        ack: Acks | None = None,
        on_failure: FailurePolicy = "requeue",
        prefetch_count: int = 100,
        threaded: bool = False,
        topology: Topology | None = None,
        recovery: Recovery | None = None,
        observer: ConsumeObserver | None = None,
        name: str = "consumer",
    ) -> None:
        check_policy(on_failure, queue, topology)
        self._acks = ack or ack_each()
        self.name = name
        self.queue = self._wanted_queue = queue
        self._topology = topology
        self._prefetch_count = prefetch_count
        self._cancelled = False
        self._consumer_tag = ""  # while it runs
        self._inbox: collections.deque[Message] = collections.deque()
        self._limit = math.inf
        self._settled = 0
        self._settlement = Settlement(self._acks, observer, counts=on_failure == "reject-requeue")
        self._work = Work(on_message, on_failure, name if threaded else None)
        self._session = Session(broker, name=name, recovery=recovery, set_up=self._set_up)
        with deferred:
            self._session.open()

    def run(
        self, *, count: int | None = None, idle_s: float | None = None, for_s: float | None = None
    ) -> int:
        """Consume until `stop` is called, or until one of the bounds is reached.

        Args:
            count: so many messages are settled.
            idle_s: no message has come for so many seconds.
            for_s: so many seconds have passed.

        Returns:
            How many messages were settled.

        Raises:
            Crash: the work of a message raised it.
            ChannelClosedError: there is no such queue, or it is another connection's own.
            ConsumerCancelledError: the broker ended the consumer, and there is no recovery.
            ConnectionLostError: the connection was lost, and there is no recovery.
            BrokerUnavailableError: it did not come back within the recovery's time limit.
        """
        self._limit, self._settled = math.inf if count is None else count, 0
        if self._session.is_stopped:
            return 0
        now_s = time.monotonic()
        end_s = math.inf if for_s is None else now_s + for_s
        idle_s = math.inf if idle_s is None else idle_s
        with deferred:
            try:
                self._consume(end_s, idle_s)
                self._end()
            except StoppedError:  # while there was no connection, so that there is nothing to end
                pass
            except Crash:
                self._session.connection.release()
                with contextlib.suppress(BrokerError):
                    self._sync()
                self._session.drop()
                raise
            except BrokerError:
                raise
            except BaseException:
                self._end(is_interrupted=True)
                raise
            finally:
                self._consumer_tag = ""
        return self._settled

    def stop(self) -> None:
        """Let `run` return once the message in hand is settled, and not begin again.

        May be called from any thread, also before `run`.
        """
        self._session.stop()

    def close(self) -> None:
        """Wait for work in its thread, and close the connection. Safe to call twice.

        What was not acknowledged goes back to its queue.
        """
        try:
            self._work.close()
        finally:  # an interrupt ends the wait for the work, not the closing
            self._session.close()

    def _set_up(self) -> str:
        """Prepare a new channel, and go on consuming where that had begun."""
        # What was not acknowledged on the one before comes again.
        self._inbox.clear()
        self._settlement.forget()
        self._declare()
        self._session.channel.add_on_cancel_callback(self._on_cancel)
        self._sync()
        if self._consumer_tag:
            self._subscribe()
        return ""

    def _declare(self) -> None:
        if self._topology is not None:
            declared = self._topology.declare(self._session)
            pairs = zip(self._topology.queues, declared.queues, strict=True)
            names = {wanted.name: given.name for wanted, given in pairs}
            self.queue = names.get(self._wanted_queue, self._wanted_queue)

    def _check(self) -> None:
        """See that connection and consumer are there; get new ones if there is a recovery."""
        try:
            self._session.check()
            if self._cancelled:
                raise ConsumerCancelledError(
                    f"{self.name} was cancelled by the broker after {self._settled} messages: its queue is "
                    "gone. Next: see who deleted the queue, declare it, and start again"
                )
        except BrokerError as error:
            self._recover_from(error)

    def _recover_from(self, error: BrokerError) -> None:
        session = self._session
        if isinstance(error, ConsumerCancelledError) and session.recovery is not None:
            session.notify("cancelled", str(error))
            # On the same channel: with its queue gone, nobody sends again what came before.
            with contextlib.suppress(BrokerError):
                self._declare()
                self._subscribe()
                session.notify("recovered")
                return
        session.recover(error, messages=self._settlement.unacked)

    def _consume(self, end_s: float, idle_s: float) -> None:
        try:
            self._subscribe()
        except BrokerError as error:
            self._recover_from(error)
        last_s = time.monotonic()
        while not self._is_over():
            self._check()
            now_s = time.monotonic()
            if now_s >= end_s or now_s - last_s >= idle_s:
                break
            if self._inbox:
                self._work_off(end_s)
                last_s = time.monotonic()
                continue
            if now_s - last_s >= FLUSH_AFTER_S:
                self._settlement.flush(self._session.channel)
            self._session.process_events(min(end_s, last_s + idle_s) - now_s)

    def _subscribe(self) -> None:
        # A tag of our own, so that it is known even if the broker's answer is not waited for.
        self._consumer_tag = uuid.uuid4().hex
        self._cancelled = False
        self._session.call(
            self._session.channel.basic_consume,
            queue=self.queue,
            on_message_callback=self._on_delivery,
            auto_ack=self._acks.every is None,
            consumer_tag=self._consumer_tag,
        )

    def _end(self, *, is_interrupted: bool = False) -> None:
        """End consuming; a connection that is lost only now is not worth a new one.

        It stays after a stop or an interrupt, and with it the queues that are its own. Where the
        broker does not answer soon, it is dropped, and the next run opens another one.
        """
        session = self._session
        session.connection.release()
        ends_soon = is_interrupted or session.is_stopped
        session.is_ending = True
        try:
            session.check()
            if not self._cancelled:
                self._unsubscribe(STOP_LIMIT_S if ends_soon else OPEN_TIMEOUT_S)
        except BrokerError as error:
            if session.recovery is None and not ends_soon:
                raise
            logger.warning("%s drops its connection: %s", self.name, error)
            session.drop()
            session.is_dropped = True
        finally:
            session.is_ending = False

    def _unsubscribe(self, timeout_s: float) -> None:
        """Get no more messages, and give back those whose work did not begin."""
        channel = self._session.channel
        if self._consumer_tag in channel.consumer_tags:
            self._session.call(channel.basic_cancel, timeout_s=timeout_s, consumer_tag=self._consumer_tag)
        self._inbox.clear()
        self._settlement.requeue_rest(channel)
        self._sync(timeout_s)

    def _is_over(self) -> bool:
        return self._settled >= self._limit or self._session.is_stopped

    def _on_delivery(
        self, _: Channel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        # Only kept here, so that the loop goes on between two messages, however long the work.
        self._inbox.append((method, properties, body))
        self._settlement.deliver(method, properties, body)

    def _work_off(self, end_s: float) -> None:
        """Work off what has come, sending acknowledgements in one batch where work is quick."""
        self._session.connection.hold()
        send_s = min(time.monotonic() + SEND_AFTER_S, end_s)
        while self._inbox and not self._is_over():
            self._take(self._inbox.popleft())
            if time.monotonic() >= send_s:
                break
        self._session.connection.release()
        self._session.process_events(0)

    def _take(self, message: Message) -> None:
        connection = self._session.connection
        if self._work.is_threaded:
            connection.release()
        outcome = self._work.do(message, wait=self._wait_for_work, wake=self._session.wake)
        if connection is self._session.connection:
            self._settled += 1
            self._settlement.settle(self._session.channel, message[0].delivery_tag, outcome)

    def _wait_for_work(self) -> None:
        """Let pika's loop run, and so answer heartbeats, while work is done in a thread."""
        self._session.process_events()
        self._check()

    def _sync(self, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Wait for an answer of the broker: it has then read all that was settled before."""
        channel = self._session.channel
        self._session.call(channel.basic_qos, timeout_s=timeout_s, prefetch_count=self._prefetch_count)

    def _on_cancel(self, _: object) -> None:
        self._cancelled = True
