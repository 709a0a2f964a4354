"""Which of a publisher's messages the broker has not settled yet, across lost connections."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import pika

Message = tuple[bytes, str, str | None, pika.BasicProperties | None]  # body, exchange, routing key


class Window:
    """A publisher's unsettled messages, with their numbers, by their tags on the channel of now.

    The broker counts the messages of a channel, from 1 on each new one, and settles them one by
    one or all up to one, in any order.
    """

    def __init__(self) -> None:
        self._sent = 0  # on this channel
        self._unsettled: dict[int, tuple[int, Message]] = {}

    def __len__(self) -> int:
        return len(self._unsettled)

    def add(self, number: int, message: Message) -> None:
        """Note that a message is sent."""
        self._sent += 1
        self._unsettled[self._sent] = (number, message)

    def settle(self, tag: int, *, multiple: bool) -> list[int]:
        """Note that the broker has settled message `tag` of the channel, or all up to it; tag 0 is all.

        Returns:
            The numbers that are settled.
        """
        tags: Iterable[int] = [tag]
        if multiple:
            tags = list(takewhile(lambda each: each <= tag or tag == 0, self._unsettled))
        return [self._unsettled.pop(each)[0] for each in tags]

    def start_again(self) -> list[Message]:
        """Begin with a new channel; return the unsettled messages, which are its first, in order."""
        again = list(self._unsettled.values())
        self._unsettled = dict(enumerate(again, 1))
        self._sent = len(again)
        return [message for _, message in again]
