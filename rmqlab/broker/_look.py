"""What a broker has at this moment, looked at again and again over one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pika
from pika import exceptions as amqp_errors

from rmqlab import names
from rmqlab.broker._connection import NOT_FOUND, TIMEOUTS
from rmqlab.broker._source import Endpoint
from rmqlab.closing import Closing


@dataclass(frozen=True, slots=True)
class Listing:
    """What the management API lists.

    Attributes:
        exchanges: type by name; the broker's own ones are left out.
        bindings: exchange, queue and routing key of each.
        queues: what the API says of each queue, by name: `messages_unacknowledged` and so on. Its
            figures are late.
    """

    exchanges: dict[str, str]
    bindings: list[tuple[str, str, str]]
    queues: dict[str, dict[str, Any]]


class Look(Closing):
    """Looks at a broker: what there is, and how much is in it now.

    Args:
        endpoint: where the broker is.
        own: returns the queues to look at, where others use the virtual host, too; None is all.
    """

    def __init__(self, endpoint: Endpoint, own: Callable[[], Collection[str]] | None = None) -> None:
        self._own = own
        self._connection = pika.BlockingConnection(
            endpoint.address.parameters_for("rmqlab watch", **TIMEOUTS)
        )
        self._channel: Any = None
        self._management = endpoint.management() if endpoint.management_url else None

    def close(self) -> None:
        """Close both connections. Safe to call twice."""
        if self._management:
            self._management.close()
        if self._connection.is_open:
            with contextlib.suppress(amqp_errors.AMQPError):
                self._connection.close()

    def listing(self) -> Listing:
        """Return what there is; without the management API, the queues of the lessons alone.

        Raises:
            ManagementError: the management API does not answer.
        """
        own = self._own() if self._own else None
        if not self._management:
            return Listing({}, [], {name: {} for name in sorted(names.QUEUES if own is None else own)})
        queues = {each["name"]: each for each in self._management.list("queues")}
        queues = {name: queues[name] for name in sorted(queues) if own is None or name in own}
        exchanges = {each["name"]: each["type"] for each in self._management.list("exchanges")}
        bindings = [
            (each["source"], each["destination"], each["routing_key"])
            for each in self._management.list("bindings")
            if each["source"] and each["destination"] in queues
        ]
        bound = {source for source, _, _ in bindings}
        is_shown = {
            name: not name.startswith("amq.") and (own is None or name in bound) for name in exchanges
        }
        return Listing(
            {name: exchanges[name] for name in sorted(exchanges) if name and is_shown[name]},
            [each for each in bindings if is_shown.get(each[0])],
            queues,
        )

    def depths(self, queues: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return the ready messages and the consumers of each queue that is there and not another's, now."""
        found = {}
        for name in queues:
            if self._channel is None or not self._channel.is_open:
                self._channel = self._connection.channel()
            try:
                # Statistics lag behind, a passive declare does not.
                method = self._channel.queue_declare(name, passive=True).method
                found[name] = (method.message_count, method.consumer_count)
            except amqp_errors.ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND and "exclusive" not in error.reply_text:
                    raise
        return found
