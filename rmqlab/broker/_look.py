"""What a broker has at this moment, looked at again and again over one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pika
from pika import exceptions as amqp_errors

from rmqlab import names
from rmqlab.broker._connection import RESOURCE_LOCKED, short_connection
from rmqlab.broker._management import Management
from rmqlab.broker._source import Endpoint

if TYPE_CHECKING:
    import pandas as pd


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


@contextlib.contextmanager
def look_at(endpoint: Endpoint, own: Callable[[], Collection[str]] | None = None) -> Iterator[Look]:
    """Open a look at a broker for a `with` block.

    Args:
        endpoint: where the broker is.
        own: returns the queues to look at, where others use the virtual host, too; None is all.

    Raises:
        BrokerUnavailableError: the broker does not answer.
        ConnectionLostError: it answers no more; in the block.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(short_connection(endpoint.address))
        management = stack.enter_context(endpoint.management()) if endpoint.management_url else None
        yield Look(connection, management, own)


@dataclass(slots=True)
class Look:
    """Looks at a broker: what there is, and how much is in it now; see `look_at`."""

    _connection: pika.BlockingConnection
    _management: Management | None
    _own: Callable[[], Collection[str]] | None
    _channel: Any = None
    _locked: set[str] = field(default_factory=set)  # exclusive queues of other connections

    def queues(self, only: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return what the management API says of each queue, or only of these, by name.

        Without the management API, it is the queues of the lessons, of which nothing is said.
        """
        if only is None and self._own:
            only = self._own()
        if not self._management:
            return {name: {} for name in sorted(names.QUEUES if only is None else only)}
        listed = {each["name"]: each for each in self._management.list("queues")}
        return {name: listed[name] for name in sorted(listed) if only is None or name in only}

    def listing(self) -> Listing:
        """Return what there is; without the management API, the queues of the lessons alone.

        Raises:
            ManagementError: the management API does not answer.
        """
        queues = self.queues()
        if not self._management:
            return Listing({}, [], queues)
        bindings = [
            (each["source"], each["destination"], each["routing_key"])
            for each in self._management.list("bindings")
            if each["destination"] in queues
        ]
        bound = {source for source, _, _ in bindings}
        types = {each["name"]: each["type"] for each in self._management.list("exchanges")}
        exchanges = {
            name: types[name]
            for name in sorted(types)
            if name and not name.startswith("amq.") and (self._own is None or name in bound)
        }
        return Listing(exchanges, [each for each in bindings if each[0] in exchanges], queues)

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
                if error.reply_code == RESOURCE_LOCKED:
                    self._locked.add(name)
        return found

    def frame(self, only: Collection[str] | None = None) -> pd.DataFrame:
        """Return one row a queue, or a queue of these; see `Broker.queues`."""
        import pandas as pd

        known = self.queues(only)
        depths = self.depths(known)
        rows = []
        for name, each in known.items():
            if name in depths or name in self._locked:
                # Of what is locked only the statistics are to be had.
                ready, consumers = depths.get(name) or map(each.get, ("messages_ready", "consumers"))
                unacked = each.get("messages_unacknowledged", 0 if each else None)
                described = (each.get(key) for key in ("type", "durable", "exclusive"))
                rows.append((name, *described, ready, unacked, consumers))
        columns = ["name", "type", "durable", "exclusive", "ready", "unacked", "consumers"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[4:], "Int64"))


def connections_frame(management: Management) -> pd.DataFrame:
    """Return one row a connection; see `Broker.connections`."""
    import pandas as pd

    rows = []
    for each in management.list("connections"):
        client = each.get("client_properties", {})
        name = client.get("connection_name") or client.get("product") or "unknown"
        rows.append((name, *(each.get(key) for key in ("user", "state", "channels", "timeout"))))
    return pd.DataFrame(rows, columns=["client", "user", "state", "channels", "heartbeat_s"])


def consumers_frame(management: Management) -> pd.DataFrame:
    """Return one row a consumer; see `Broker.consumers`."""
    import pandas as pd

    keys = ("consumer_tag", "prefetch_count", "ack_required")
    rows = [
        (each["queue"]["name"], *(each[key] for key in keys), each.get("active", True))
        for each in management.list("consumers")
    ]
    columns = ["queue", "consumer_tag", "prefetch", "ack_required", "active"]
    return pd.DataFrame(rows, columns=columns).sort_values(["queue", "consumer_tag"], ignore_index=True)
