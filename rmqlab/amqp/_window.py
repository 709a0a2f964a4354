"""Which of a publisher's messages the broker has not settled yet, across lost connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

M = TypeVar("M")
Range = tuple[int, int]


class Window(Generic[M]):
    """Numbers a publisher's messages from 0, and keeps those that may have to be sent again.

    The broker counts the messages of a channel, from 1 on each new one, and settles them one by
    one or all up to one, in any order.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self.published = 0
        # Places of messages on this channel count from 0. Those below `_settled` are settled,
        # and so are those in `_ahead`.
        self._sent = 0
        self._settled = 0
        self._ahead: set[int] = set()
        self._kept: deque[M] | None = deque() if keeps else None  # from place `_settled` on
        # The channel began with these numbers, sent again; after them came `_new` and the next.
        self._again: list[int] = []
        self._new = 0

    @property
    def unsettled(self) -> int:
        """How many messages the broker has neither confirmed nor refused yet."""
        return self._sent - self._settled - len(self._ahead)

    def add(self, message: M) -> None:
        """Note that a message is sent, which takes the next number."""
        self.published += 1
        self._sent += 1
        if self._kept is not None:
            self._kept.append(message)

    def settle(self, tag: int, *, multiple: bool) -> Iterator[Range]:
        """Note that the broker has settled message `tag` of the channel, or all up to it; tag 0 is all.

        Returns:
            The numbers that are newly settled, as ranges: first and last.
        """
        last = tag - 1 if tag else self._sent - 1
        first = self._settled if multiple else last
        newly = [(first, last)] if first <= last else []
        if self._ahead:
            newly = [(place, place) for place in range(first, last + 1) if place not in self._ahead]
        self._note(first, last)
        return self._numbers(newly)

    def start_again(self) -> list[M]:
        """Begin with a new channel; return the unsettled messages, which are its first, in order."""
        assert self._kept is not None
        places = [place for place in range(self._settled, self._sent) if place not in self._ahead]
        messages = [self._kept[place - self._settled] for place in places]
        self._again, self._new = [self._number(place) for place in places], self.published
        self._sent, self._settled, self._ahead = len(places), 0, set()
        self._kept = deque(messages)
        return messages

    def _note(self, first: int, last: int) -> None:
        before = self._settled
        if first > before:
            self._ahead.update(range(first, last + 1))
            return
        self._settled = max(before, last + 1)
        if self._ahead:
            self._ahead.difference_update(range(first, last + 1))
            while self._settled in self._ahead:
                self._ahead.remove(self._settled)
                self._settled += 1
        if self._kept is not None:
            for _ in range(self._settled - before):
                self._kept.popleft()

    def _number(self, place: int) -> int:
        again = len(self._again)
        return self._again[place] if place < again else self._new + place - again

    def _numbers(self, ranges: list[Range]) -> Iterator[Range]:
        """Return the numbers of ranges of places, again as ranges."""
        again = len(self._again)
        for first, last in ranges:
            for place in range(first, min(last + 1, again)):
                yield self._again[place], self._again[place]
            if last >= again:
                yield self._number(max(first, again)), self._number(last)
