"""What one process is to publish or to consume."""

from __future__ import annotations

from dataclasses import dataclass, field

PREFETCH = 1000  # how many messages a consumer has unacknowledged at most
ACK_EVERY = 100  # how many messages one acknowledgement covers
WINDOW = 500  # how many messages may be unconfirmed, for a publisher that keeps a window


@dataclass(frozen=True, slots=True)
class ClientJob:
    """What one process is to publish or to consume.

    Attributes:
        url: AMQP URL of the broker, password included; not shown in the repr.
        queue: name of the queue, which exists; a consumer finds its messages in it.
        count: how many messages.
        body: the body of each message.
    """

    url: str = field(repr=False)
    queue: str
    count: int
    body: bytes = field(repr=False)

    def is_ack_due(self, received: int) -> bool:
        """Return True if a consumer that has received so many messages is to acknowledge them."""
        return received == self.count or received % ACK_EVERY == 0


class Unconfirmed(set[int]):
    """The delivery tags of the messages that a publisher by hand has unconfirmed, one to a message."""

    _oldest = 1  # no tag below it is unconfirmed

    def confirm(self, tag: int, multiple: bool) -> None:
        """Take out a tag; if `multiple`, all tags up to it."""
        if multiple:
            self.difference_update(range(self._oldest, tag + 1))
            self._oldest = tag + 1
        else:
            self.discard(tag)
