"""Publish messages, and know what became of each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import pika

from rmqlab.amqp._joined import Encoder
from rmqlab.amqp._session import Session
from rmqlab.amqp._topology import Topology
from rmqlab.broker import Broker

PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)

# How many messages go out in one piece when nothing else limits them.
FREE_PIECE = 100
# A window is refilled when so much of it is free again: often enough to keep the broker busy,
# rarely enough that a piece is worth a system call.
REFILL_PART = 4


@dataclass(frozen=True, slots=True)
class Confirms:
    """How long a publisher goes on without hearing from the broker.

    When `limit` messages are unconfirmed, it waits until `low` or fewer are.

    Attributes:
        name: what it is called in frames.
        limit: how many messages may be unconfirmed; None asks for no confirms.
        low: how many may be left unconfirmed when the wait is over.
        piece: how many messages are sent in one piece.
    """

    name: str
    limit: int | None
    low: int
    piece: int


def fire_and_forget() -> Confirms:
    """Ask for no confirms: fast, and nobody learns of a message that is lost."""
    return Confirms("none", None, 0, FREE_PIECE)


def confirm_each() -> Confirms:
    """Wait for the confirm of each message before the next: safe, and a round trip each."""
    return Confirms("each", 1, 0, 1)


def confirm_batch(size: int) -> Confirms:
    """Send so many messages, then wait until all of them are confirmed.

    Raises:
        ValueError: the size is below 1.
    """
    return Confirms(f"batch {_at_least_one('batch', size)}", size, 0, min(size, FREE_PIECE))


def confirm_window(size: int = 500) -> Confirms:
    """Keep at most so many messages unconfirmed, and refill as confirms come in.

    Raises:
        ValueError: the size is below 1.

    Source: https://www.rabbitmq.com/docs/confirms#publisher-confirms
    """
    room = max(_at_least_one("window", size) // REFILL_PART, 1)
    return Confirms(f"window {size}", size, size - room, room)


class PublishObserver(Protocol):
    """Is told what happens to each message of a publisher, in the publisher's thread."""

    def published(self, number: int) -> None:
        """Message `number` is about to be sent; a publisher counts from 0."""
        ...

    def confirmed(self, first: int, last: int) -> None:
        """The broker has taken charge of the messages from `first` to `last`."""
        ...

    def nacked(self, first: int, last: int) -> None:
        """The broker has refused the messages from `first` to `last`."""
        ...

    def returned(self, properties: pika.BasicProperties, body: bytes) -> None:
        """No queue wanted this message. Its confirm comes after this."""
        ...


class Publisher:
    """Publishes messages, as fast as its confirms allow.

    Use it as a context manager, or close it; leaving the block waits for all confirms. It
    belongs to one thread.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        exchange: name of the exchange of messages that name none; the default one leads to
            the queue that the routing key names.
        routing_key: routing key of messages that bring none of their own.
        confirms: `fire_and_forget()`, `confirm_each()`, `confirm_batch(n)` or
            `confirm_window(n)`.
        properties: properties of messages that bring none of their own; None is persistent.
        mandatory: whether the broker is to give back what no queue wants.
        topology: what is to be declared first; None takes what is there.
        observer: is told what happens to each message; None tells nobody.
        time_limit_s: how long to wait for a confirm, or for a broker that blocks
            publishers, in seconds.
        name: the connection's name, as the broker's management pages show it.

    Attributes:
        published, confirmed, nacked, returned: counts of messages so far.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        BrokerError: the broker refuses the topology.
        ValueError: the time limit is not above 0.
    """

    def __init__(
        self,
        broker: Broker | str,
        *,
        exchange: str = "",
        routing_key: str = "",
        confirms: Confirms | None = None,
        properties: pika.BasicProperties | None = None,
        mandatory: bool = False,
        topology: Topology | None = None,
        observer: PublishObserver | None = None,
        time_limit_s: float = 30,
        name: str = "publisher",
    ) -> None:
        if not time_limit_s > 0:
            raise ValueError(f"time_limit_s is {time_limit_s}; it must be above 0")
        self.published = self.confirmed = self.nacked = self.returned = 0
        self._exchange = exchange
        self._routing_key = routing_key
        self._confirms = confirms or confirm_window()
        self._properties = properties or PERSISTENT
        self._mandatory = mandatory
        self._observer = observer
        self._time_limit_s = time_limit_s
        self._held = 0
        # Numbers below `_settled` are confirmed or nacked, and so are those in `_ahead`.
        self._settled = 0
        self._ahead: set[int] = set()
        self._session = Session(broker, name=name)
        try:
            if topology is not None:
                topology.declare(self._session)
            self._session.channel.add_on_return_callback(self._on_return)
            if self._confirms.limit is not None:
                channel = self._session.channel
                self._session.call(channel.confirm_delivery, ack_nack_callback=self._on_confirm)
            publish = pika.spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
            self._encoder = Encoder.of(self._session.channel, publish, self._properties)
        except BaseException:
            self._session.close()
            raise

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    @property
    def is_open(self) -> bool:
        """Whether the publisher can still publish."""
        return self._session.is_open

    @property
    def blocked(self) -> str:
        """Why the broker blocks publishers just now, in its own words; empty if it does not."""
        return self._session.blocked

    @property
    def unconfirmed(self) -> int:
        """How many messages the broker has neither confirmed nor refused yet."""
        return self.published - self._settled - len(self._ahead)

    def publish(
        self,
        body: bytes,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        properties: pika.BasicProperties | None = None,
    ) -> int:
        """Publish a message, and send it at once.

        Waits for confirms when as many messages are unconfirmed as may be: with
        `confirm_each()`, for that of this message.

        Args:
            body: the body.
            exchange: None takes the publisher's, and so do the others.
            routing_key: where the exchange is to send it.
            properties: the message's properties.

        Returns:
            The message's number in this publisher, from 0.

        Raises:
            TimeLimitError: confirms did not come, or the broker blocked publishers, for
                longer than the time limit.
            ChannelClosedError: the broker refused: there is no such exchange, or the message
                is too large.
            BrokerError: the connection was lost.
        """
        number = self._put(body, exchange, routing_key, properties)
        self._send()
        return number

    def publish_all(self, bodies: Iterable[bytes]) -> int:
        """Publish many messages that are there, or are quickly made, many in one piece.

        That is several times as fast as `publish`. All are sent when it returns, and as many
        as may be are not confirmed yet: `flush` waits for them.

        Args:
            bodies: the bodies.

        Returns:
            How many there were.

        Raises:
            As `publish`.
        """
        before = self.published
        piece = self._confirms.piece
        for body in bodies:
            self._put(body, None, None, None)
            if self._held >= piece or self._is_full():
                self._send()
        if self._held:
            self._send()
        return self.published - before

    def flush(self) -> None:
        """Send what is held back, and wait until every message is confirmed or refused.

        Without confirms, it waits until the broker has read all of them.

        Raises:
            As `publish`.
        """
        self._release()
        if self._confirms.limit is not None:
            self._run_until(lambda: self.unconfirmed == 0, "confirms")
        else:
            # A call that is answered: the broker has read what was sent before it.
            self._session.call(self._session.channel.basic_qos, prefetch_count=0)

    def wait(self, seconds: float) -> None:
        """Let time pass between two messages, while the connection is kept alive."""
        self._release()
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._session.check()
            self._session.turn(left_s)

    def close(self) -> None:
        """Close the connection at once. Safe to call twice."""
        self._session.close()

    def _put(
        self,
        body: bytes,
        exchange: str | None,
        routing_key: str | None,
        properties: pika.BasicProperties | None,
    ) -> int:
        """Hand a message to pika, and hold it back until it is sent."""
        session = self._session
        session.check()
        if session.blocked:
            self._wait_until_unblocked()
        number = self.published
        if self._observer is not None:
            self._observer.published(number)
        session.connection.hold()
        encoder = self._encoder
        is_default = exchange is None and routing_key is None and properties is None
        if is_default and encoder is not None and 0 < len(body) <= encoder.largest:
            session.connection.emit(encoder.encode(body))
        else:
            session.channel.basic_publish(
                self._exchange if exchange is None else exchange,
                self._routing_key if routing_key is None else routing_key,
                body,
                properties or self._properties,
                self._mandatory,
            )
        self.published = number + 1
        self._held += 1
        return number

    def _send(self) -> None:
        """Send what is held back, take in what has come, and wait for room if there is none."""
        self._release()
        self._session.turn()
        self._session.check()
        if self._is_full():
            self._wait_for_room()

    def _is_full(self) -> bool:
        limit = self._confirms.limit
        return limit is not None and self.published - self._settled - len(self._ahead) >= limit

    def _release(self) -> None:
        self._session.connection.release()
        self._held = 0

    def _wait_for_room(self) -> None:
        low = self._confirms.low
        self._run_until(lambda: self.published - self._settled - len(self._ahead) <= low, "confirms")

    def _wait_until_unblocked(self) -> None:
        self._release()
        self._run_until(lambda: not self._session.blocked, "the broker to take messages again")

    def _run_until(self, condition: Any, what: str) -> None:
        self._session.run_until(condition, time_limit_s=self._time_limit_s, what=what)

    def _on_return(
        self,
        _channel: object,
        _method: object,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self.returned += 1
        if self._observer is not None:
            self._observer.returned(properties, body)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        last = method.delivery_tag - 1  # tags count from 1, messages from 0
        first = self._settled if method.multiple else last
        self._settle(first, last, refused=isinstance(method, pika.spec.Basic.Nack))

    def _settle(self, first: int, last: int, *, refused: bool) -> None:
        ahead = self._ahead
        # A confirm of many can cover some that were settled one by one before.
        for start, end in _gaps(first, last, ahead) if ahead else ((first, last),):
            count = end - start + 1
            if refused:
                self.nacked += count
            else:
                self.confirmed += count
            if self._observer is not None:
                (self._observer.nacked if refused else self._observer.confirmed)(start, end)
        if first > self._settled:
            ahead.update(range(first, last + 1))
            return
        self._settled = max(self._settled, last + 1)
        if ahead:
            ahead.difference_update(range(first, last + 1))
            while self._settled in ahead:
                ahead.remove(self._settled)
                self._settled += 1


def _gaps(first: int, last: int, taken: set[int]) -> Iterable[tuple[int, int]]:
    """Give the stretches from `first` to `last` whose numbers are not taken."""
    start = first
    for number in range(first, last + 1):
        if number in taken:
            if start < number:
                yield start, number - 1
            start = number + 1
    if start <= last:
        yield start, last


def _at_least_one(what: str, size: int) -> int:
    if size < 1:
        raise ValueError(f"a {what} of {size} messages; it goes from 1")
    return size
