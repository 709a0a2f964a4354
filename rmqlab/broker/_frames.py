"""Frames of what a broker holds at this moment."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pika
from pika import exceptions as amqp_errors

from rmqlab import names
from rmqlab.broker._connection import RESOURCE_LOCKED, short_connection
from rmqlab.broker._source import Endpoint
from rmqlab.errors import BrokerError

if TYPE_CHECKING:
    import pandas as pd

LOOK_EVERY_S = 0.02
EXCLUSIVE = (None, None)  # what can be known of somebody's exclusive queue


def queues(endpoint: Endpoint, own: Collection[str] | None = None) -> pd.DataFrame:
    """Return one row a queue, of those of our own or of all; see `Broker.queues`."""
    with short_connection(endpoint.address) as connection:
        return _queues(endpoint, own, connection)


def _queues(
    endpoint: Endpoint, own: Collection[str] | None, connection: pika.BlockingConnection
) -> pd.DataFrame:
    import pandas as pd

    known: dict[str, dict[str, Any]] = {name: {} for name in (names.QUEUES if own is None else own)}
    if endpoint.management_url:
        listed = {each["name"]: each for each in _list(endpoint, "queues")}
        known = {name: each for name, each in listed.items() if own is None or name in own}
    rows = []
    for name, each in sorted(known.items()):
        if depth := _depth(connection, name):
            # Of an exclusive queue only the statistics are to be had.
            ready, consumers = depth if depth != EXCLUSIVE else map(each.get, ("messages_ready", "consumers"))
            unacked = each.get("messages_unacknowledged", 0 if each else None)
            described = (each.get(key) for key in ("type", "durable", "exclusive"))
            rows.append((name, *described, ready, unacked, consumers))
    columns = ["name", "type", "durable", "exclusive", "ready", "unacked", "consumers"]
    counts = dict.fromkeys(("ready", "unacked", "consumers"), "Int64")
    return pd.DataFrame(rows, columns=columns).astype(counts)


def wait_for_queue(
    endpoint: Endpoint, name: str, ready: int | None, consumers: int | None, timeout_s: float
) -> pd.DataFrame:
    """Return the row of a queue once it is as wanted; see `Broker.wait_for_queue`."""
    deadline_s = time.monotonic() + timeout_s
    # Over one connection, as each that is opened takes the broker's time.
    with short_connection(endpoint.address) as connection:
        while True:
            now = _depth(connection, name)
            if now and ready in (None, now[0]) and consumers in (None, now[1]):
                return _queues(endpoint, {name}, connection)
            if time.monotonic() > deadline_s:
                break
            time.sleep(LOOK_EVERY_S)  # pika 1.5 would raise here that the channel was closed, as it was told
    found = f"has {now[0]} ready messages and {now[1]} consumers" if now else "does not exist"
    wanted = {"ready": ready, "consumers": consumers}
    raise BrokerError(
        f"Queue {name!r} {found}, and not {wanted}, after {timeout_s:g} s. "
        "Next: see who publishes to it or consumes from it"
    )


def connections(endpoint: Endpoint) -> pd.DataFrame:
    """Return one row a connection; see `Broker.connections`."""
    import pandas as pd

    rows = []
    for each in _list(endpoint, "connections"):
        client = each.get("client_properties", {})
        name = client.get("connection_name") or client.get("product") or "unknown"
        rows.append((name, *(each.get(key) for key in ("user", "state", "channels", "timeout"))))
    return pd.DataFrame(rows, columns=["client", "user", "state", "channels", "heartbeat_s"])


def consumers(endpoint: Endpoint) -> pd.DataFrame:
    """Return one row a consumer; see `Broker.consumers`."""
    import pandas as pd

    keys = ("consumer_tag", "prefetch_count", "ack_required")
    rows = [
        (each["queue"]["name"], *(each[key] for key in keys), each.get("active", True))
        for each in _list(endpoint, "consumers")
    ]
    columns = ["queue", "consumer_tag", "prefetch", "ack_required", "active"]
    return pd.DataFrame(rows, columns=columns).sort_values(["queue", "consumer_tag"], ignore_index=True)


def _list(endpoint: Endpoint, kind: str) -> list[dict[str, Any]]:
    with endpoint.management() as management:
        return management.list(kind)


def _depth(connection: pika.BlockingConnection, queue: str) -> tuple[int | None, int | None] | None:
    """Return the ready messages and the consumers of a queue now; None if there is no such queue."""
    # Statistics lag behind, a passive declare does not.
    try:
        with connection.channel() as channel:
            found = channel.queue_declare(queue, passive=True).method
            return found.message_count, found.consumer_count
    except amqp_errors.ChannelClosedByBroker as error:
        return EXCLUSIVE if error.reply_code == RESOURCE_LOCKED else None
