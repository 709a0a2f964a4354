"""Publish messages, and know the outcome of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pika

from rmqlab.amqp._confirms import Confirms, PublishObserver, confirm_window
from rmqlab.amqp._recovery import Recovery
from rmqlab.amqp._session import BrokerTarget, Session
from rmqlab.amqp._topology import Topology
from rmqlab.amqp._window import Message, Window
from rmqlab.amqp._write_buffer import Encoder
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError, StoppedError
from rmqlab.interrupts import deferred, interruptible

PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)

# What has come from the broker is taken in so often while messages are published one by one.
PROCESS_EVERY_S = 0.001


class Publisher(Closing):
    """Publishes messages, as fast as its confirms allow.

    Use it as a context manager, or close it: both wait for all confirms. It belongs to one
    thread; only `stop` may be called from another one. After Ctrl-C, at whatever moment, it can
    be used on: each message was published and counted, or neither.

    With a recovery it survives the loss of its connection: what is unconfirmed is published again,
    in its order, and so twice where only the confirm was lost. Without confirms nothing is kept,
    and what was under way is lost.

    Args:
        broker: a broker of `start_broker`, an AMQP URL, or those of several hosts of one cluster.
        routing_key: default routing key of messages.
        confirms: how long it goes on without them; None is a window of 500.
        properties: default properties of messages; None is persistent.
        mandatory: whether the broker is to return what no queue wants.
        topology: what is declared first.
        recovery: how to go on when the connection is lost; None ends the publisher.
        observer: receives the outcome of each message.
        timeout_s: how long to wait for a confirm, or for a broker that blocks publishers, in seconds.
        name: the connection's name, as the broker's management pages show it.

    Attributes:
        published, confirmed, nacked, returned: counts of messages so far; each is published once.
        republished: how many messages were sent once more, after the loss of a connection.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        BrokerError: the broker refuses the topology.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        *,
        routing_key: str = "",
        confirms: Confirms | None = None,
        properties: pika.BasicProperties | None = None,
        mandatory: bool = False,
        topology: Topology | None = None,
        recovery: Recovery | None = None,
        observer: PublishObserver | None = None,
        timeout_s: float = 30,
        name: str = "publisher",
    ) -> None:
        self.published = self.confirmed = self.nacked = self.returned = self.republished = 0
        self._routing_key = routing_key
        self._confirms = confirms or confirm_window()
        self._properties = properties or PERSISTENT
        self._mandatory = mandatory
        self._observer = observer
        self._timeout_s = timeout_s
        self._topology = topology
        self._buffered = 0
        self._process_at_s = 0.0
        self._window = Window()
        self._session = Session(broker, name=name, recovery=recovery, set_up=self._set_up)
        with deferred:
            self._session.open()

    def _set_up(self) -> str:
        """Prepare a new channel, and publish again what is not confirmed."""
        session, channel = self._session, self._session.channel
        if self._topology is not None:
            self._topology.declare(session)
        channel.add_on_return_callback(self._on_return)
        if self._confirms.limit is not None:
            session.call(channel.confirm_delivery, ack_nack_callback=self._on_confirm)
        publish = pika.spec.Basic.Publish(routing_key=self._routing_key, mandatory=self._mandatory)
        self._encoder = Encoder(channel, publish, self._properties)
        again = self._window.start_again()
        for message in again:
            self._emit(message)
        self._release()
        self.republished += len(again)
        return f"{len(again)} messages published again"

    def __exit__(self, *error: object) -> None:
        if any(error):
            self._session.close()
        else:
            self.close()

    @property
    def blocked(self) -> str:
        """Why the broker blocks publishers just now, in its own words; empty if it does not."""
        return self._session.blocked

    @property
    def unconfirmed(self) -> int:
        """How many messages the broker has neither confirmed nor refused yet."""
        return len(self._window)

    def publish(
        self,
        body: bytes,
        *,
        exchange: str = "",
        routing_key: str | None = None,
        properties: pika.BasicProperties | None = None,
    ) -> int:
        """Publish a message, and send it at once.

        Waits for confirms when as many messages are unconfirmed as may be: with
        `confirm_each()`, for that of this message.

        Args:
            body: the body.
            exchange: name of the exchange; "" leads to the queue that the routing key names.
            routing_key: what the exchange compares with its bindings; None is the publisher's default.
            properties: the message's properties; None is the publisher's default.

        Returns:
            The message's number in this publisher, from 0.

        Raises:
            TimeLimitError: no confirm came in time, or the broker blocked publishers for too long.
            ChannelClosedError: there is no such exchange, or the message is too large.
            ConnectionLostError: the connection was lost, and there is no recovery.
            BrokerUnavailableError: it did not come back within the recovery's time limit.
            StoppedError: `stop` was called.
        """
        with deferred:
            number = self._put((body, exchange, routing_key, properties))
            self._send()
        return number

    def publish_all(self, bodies: Iterable[bytes]) -> int:
        """Publish messages that are there, or are quickly made, many in one batch, which is faster.

        All are sent when it returns; `flush` waits for those that are not confirmed yet.

        Returns:
            How many there were.

        Raises:
            As `publish`.
        """
        before = self.published
        batch = self._confirms.batch
        with deferred:
            try:
                for body in bodies if isinstance(bodies, list | tuple) else interruptible(bodies):
                    self._put((body, "", None, None))
                    if self._buffered >= batch or self._is_full():
                        self._send()
            except BaseException:  # an interrupt as well, or an error of the bodies
                self._release()
                raise
            if self._buffered:
                self._send()
        return self.published - before

    def flush(self) -> None:
        """Send what is buffered, and wait until every message is confirmed or refused.

        Without confirms, it waits until the broker has read all of them.

        Raises:
            As `publish`.
        """
        with deferred:
            self._check()
            self._release()
            if self._confirms.limit is not None:
                self._run_until(lambda: self.unconfirmed == 0, "confirms")
                return
            # A call that is answered: the broker has read what was sent before it.
            try:
                self._session.call(self._session.channel.basic_qos, prefetch_count=0)
            except BrokerError as error:
                self._session.recover(error)

    def wait(self, seconds: float) -> None:
        """Let time pass between two messages, while the connection is kept alive."""
        with deferred:
            self._check()
            self._release()
            end_s = time.monotonic() + seconds
            while (left_s := end_s - time.monotonic()) > 0:
                self._check()
                self._session.process_events(left_s)

    def stop(self) -> None:
        """Let whatever waits raise `StoppedError` soon, and publish no more.

        May be called from any thread. What was not confirmed may or may not have got through.
        """
        self._session.stop()

    def close(self) -> None:
        """Wait until every message is confirmed or refused, and close the connection.

        One that was stopped waits for nothing. Safe to call twice.

        Raises:
            As `publish`; the connection is closed all the same.
        """
        try:
            if not self._session.is_ending and not self._session.is_stopped:
                self.flush()
        finally:
            self._session.close()

    def _put(self, message: Message) -> int:
        """Hand a message to pika, and hold it back until it is sent."""
        self._check()
        if self._session.blocked:
            self._release()
            self._run_until(lambda: not self._session.blocked, "the broker to take messages again")
        number = self.published
        if self._observer is not None:
            self._observer.published(number)
        self._emit(message)
        if self._confirms.limit is not None:
            self._window.add(number, message)
        self.published += 1
        self._buffered += 1
        return number

    def _emit(self, message: Message) -> None:
        body, exchange, routing_key, properties = message
        session = self._session
        session.connection.hold()
        encoder = self._encoder
        is_default = not exchange and routing_key is None and properties is None
        if is_default and 0 < len(body) <= encoder.largest:
            session.connection.emit(encoder.encode(body))
        else:
            session.channel.basic_publish(
                exchange,
                self._routing_key if routing_key is None else routing_key,
                body,
                properties or self._properties,
                self._mandatory,
            )

    def _send(self) -> None:
        """Send what is buffered, take in what has come, and wait for room if there is none."""
        self._release()
        if self._session.connection.is_congested:
            self._session.process_events()
        elif time.monotonic() >= self._process_at_s:
            self._session.process_events(0)
            self._process_at_s = time.monotonic() + PROCESS_EVERY_S
        if self._is_full():
            self._run_until(lambda: self.unconfirmed <= self._confirms.low, "confirms")

    def _is_full(self) -> bool:
        limit = self._confirms.limit
        return limit is not None and self.unconfirmed >= limit

    def _release(self) -> None:
        self._session.connection.release()
        self._buffered = 0

    def _run_until(self, condition: Callable[[], bool], what: str) -> None:
        while True:
            try:
                self._session.run_until(
                    lambda: condition() or self._session.is_stopped, timeout_s=self._timeout_s, what=what
                )
                self._check()
                return
            except BrokerError as error:
                self._session.recover(error)

    def _check(self) -> None:
        """See that the connection is there; get a new one if it is lost and there is a recovery."""
        if self._session.is_stopped:
            raise StoppedError(
                f"{self._session.name} was stopped with {self.unconfirmed} messages unconfirmed. "
                "Next: make a new publisher to go on"
            )
        try:
            self._session.check()
        except BrokerError as error:
            self._session.recover(error)

    def _on_return(
        self, _channel: object, _method: object, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self.returned += 1
        if self._observer is not None:
            self._observer.returned(properties, body)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        is_refused = isinstance(method, pika.spec.Basic.Nack)
        numbers = self._window.settle(method.delivery_tag, multiple=method.multiple)
        if is_refused:
            self.nacked += len(numbers)
        else:
            self.confirmed += len(numbers)
        if self._observer is not None:
            notify = self._observer.nacked if is_refused else self._observer.confirmed
            for number in numbers:
                notify(number)
