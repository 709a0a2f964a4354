"""Which deliveries of a consumer are settled, and how."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, Protocol

import pika
from pika.channel import Channel

Outcome = Literal["acked", "requeued", "rejected"]


@dataclass(frozen=True, slots=True)
class Acks:
    """When a consumer acknowledges.

    Attributes:
        every: how many messages one acknowledgement is for; None asks for no
            acknowledgements: the broker forgets a message as it sends it.
    """

    every: int | None


def auto_ack() -> Acks:
    """Let the broker forget each message as it sends it: fast, and a crash loses messages."""
    return Acks(None)


def ack_each() -> Acks:
    """Acknowledge each message when its work is done."""
    return Acks(1)


def ack_every(count: int) -> Acks:
    """Acknowledge so many messages at once; fewer when no more come, and at the end.

    Source: https://www.rabbitmq.com/docs/confirms#consumer-acks-multiple-parameter
    """
    return Acks(count)


class ConsumeObserver(Protocol):
    """Receives each delivery of a consumer and its outcome, in the consumer's thread."""

    def delivered(self, tag: int, redelivered: bool, properties: pika.BasicProperties, body: bytes) -> None:
        """A message has arrived; a consumer's tags count from 1."""

    def settled(self, tag: int, multiple: bool, outcome: Outcome) -> None:
        """The message has an outcome; with `multiple`, all up to it have.

        The broker was sent it just now, or with `auto_ack` needs none.
        """


class Settlement:
    """What a consumer was delivered over one connection, and what it has settled of it.

    With `counts`, a message goes back by `basic.reject`, which every version counts against a
    delivery limit, not by `basic.nack`.
    """

    def __init__(self, acks: Acks, observer: ConsumeObserver | None, *, counts: bool) -> None:
        self._acks = acks
        self._observer = observer
        self._counts = counts
        self.forget()

    def forget(self) -> None:
        """Begin with a new channel: all that is not acknowledged comes again."""
        self._pending = 0  # how many messages are done, and not acknowledged yet
        self._ack_tag = 0
        self._unacked: dict[int, str | None] = {}  # identities by delivery tag

    @property
    def unacked(self) -> tuple[str | None, ...]:
        """Identities of the messages that are not acknowledged."""
        return tuple(self._unacked.values())

    def deliver(self, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
        """Note a delivery."""
        if self._acks.every is not None:
            self._unacked[method.delivery_tag] = properties.message_id
        if self._observer is not None:
            self._observer.delivered(method.delivery_tag, method.redelivered, properties, body)

    def settle(self, channel: Channel, tag: int, outcome: Outcome) -> None:
        """Settle a message with the broker, perhaps later, together with others."""
        if self._acks.every is None:  # the broker has long forgotten the message
            self._notify(tag, False, outcome)
        elif outcome == "acked":
            self._pending += 1
            self._ack_tag = tag
            if self._pending >= self._acks.every:
                self.flush(channel)
        else:
            del self._unacked[tag]
            refuse = channel.basic_reject if self._counts else channel.basic_nack
            refuse(tag, requeue=outcome == "requeued")
            self._notify(tag, False, outcome)

    def flush(self, channel: Channel) -> None:
        """Acknowledge what is done and not acknowledged yet."""
        if not self._pending:
            return
        multiple = self._pending > 1
        # All up to this one are done: those that failed were refused one by one. It must not
        # be the tag of one of these, which the broker knows no more.
        channel.basic_ack(self._ack_tag, multiple=multiple)
        self._pending = 0
        for tag in list(itertools.takewhile(self._ack_tag.__ge__, self._unacked)):
            del self._unacked[tag]
        self._notify(self._ack_tag, multiple, "acked")

    def requeue_rest(self, channel: Channel) -> None:
        """Acknowledge what is done, and put back what was delivered and is not."""
        self.flush(channel)
        if self._unacked:
            last = next(reversed(self._unacked))
            channel.basic_nack(last, multiple=True, requeue=True)
            self._notify(last, True, "requeued")
            self._unacked.clear()

    def _notify(self, tag: int, multiple: bool, outcome: Outcome) -> None:
        if self._observer is not None:
            self._observer.settled(tag, multiple, outcome)
