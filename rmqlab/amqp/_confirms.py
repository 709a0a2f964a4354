"""How long a publisher goes on without the broker's confirms, and who hears of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pika

# How many messages go out in one batch when nothing else limits them.
FREE_BATCH = 100
# A window is refilled when so much of it is free again: often enough to keep the broker busy,
# rarely enough that a batch is worth a system call.
REFILL_PART = 4


@dataclass(frozen=True, slots=True)
class Confirms:
    """How long a publisher goes on without hearing from the broker.

    When `limit` messages are unconfirmed, it waits until `low` or fewer are.

    Attributes:
        limit: how many messages may be unconfirmed; None asks for no confirms.
        low: how many may be left unconfirmed when the wait is over.
        batch: how many messages are sent in one batch.

    Raises:
        ValueError: the limit is below 1.
    """

    limit: int | None
    low: int
    batch: int

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"a window of {self.limit} messages; it goes from 1")


def fire_and_forget() -> Confirms:
    """Ask for no confirms: fast, and nobody learns of a message that is lost."""
    return Confirms(None, 0, FREE_BATCH)


def confirm_each() -> Confirms:
    """Wait for the confirm of each message before the next: safe, and a round trip each."""
    return Confirms(1, 0, 1)


def confirm_batch(size: int) -> Confirms:
    """Send so many messages, then wait until all of them are confirmed."""
    return Confirms(size, 0, min(size, FREE_BATCH))


def confirm_window(size: int = 500) -> Confirms:
    """Keep at most so many messages unconfirmed, and refill as confirms come in.

    Source: https://www.rabbitmq.com/docs/confirms#publisher-confirms
    """
    room = max(size // REFILL_PART, 1)
    return Confirms(size, size - room, room)


class PublishObserver(Protocol):
    """Receives the outcome of each message of a publisher, in the publisher's thread."""

    def published(self, number: int) -> None:
        """Message `number` is about to be sent; a publisher counts from 0."""

    def confirmed(self, number: int) -> None:
        """The broker has taken charge of the message."""

    def nacked(self, number: int) -> None:
        """A queue has not taken the message."""

    def returned(self, properties: pika.BasicProperties, body: bytes) -> None:
        """No queue wanted this message. Its confirm comes after this."""
