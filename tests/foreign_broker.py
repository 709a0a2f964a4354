"""A broker that somebody else runs, for tests that nothing of others' is touched."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pika
from helpers import SECRET
from pika.channel import Channel

from rmqlab import names
from rmqlab.broker import Broker

SHARED = "shared"
METHODS = ("queue_declare", "exchange_declare", "queue_delete", "exchange_delete", "queue_purge")


class ForeignBroker:
    """A broker that somebody else runs, as its administrator sees it, with a virtual host `shared`."""

    def __init__(self, host: Broker) -> None:
        credentials = host.parameters.credentials
        self.management_url = str(host.management_url)
        self.password = credentials.password
        self.admin_url = f"{host.url.rpartition('/')[0]}/{SHARED}"
        self.user_url = f"amqp://user:{SECRET}@127.0.0.1:{host.parameters.port}/{SHARED}"
        self._client = httpx.Client(
            base_url=f"{host.management_url}/api",
            auth=(credentials.username, credentials.password),
            trust_env=False,
        )
        self.let_in()
        self.put(f"/vhosts/{SHARED}")
        self.permit()
        self.put(f"/permissions/{SHARED}/{credentials.username}", configure=".*", write=".*", read=".*")

    def put(self, path: str, **body: object) -> None:
        self._client.put(path, json=body).raise_for_status()

    def delete(self, path: str) -> None:
        self._client.delete(path).raise_for_status()

    def let_in(self, *, password: str = SECRET, tags: str = "") -> None:
        self.put("/users/user", password=password, tags=tags)

    def permit(self, configure: str = ".*") -> None:
        self.put(f"/permissions/{SHARED}/user", configure=configure, write=".*", read=".*")

    def close(self) -> None:
        self.delete(f"/vhosts/{SHARED}")
        self.delete("/users/user")
        self._client.close()

    def definitions(self) -> dict[str, Any]:
        """Export everything: users, virtual hosts, permissions, policies, exchanges, queues, bindings."""
        exported = self._client.get("/definitions").raise_for_status().json()
        return {
            key: sorted(map(json.dumps, value)) if isinstance(value, list) else value
            for key, value in exported.items()
        }

    def names(self) -> set[str]:
        """Return the names of all queues and exchanges in the shared virtual host."""
        exported = self._client.get(f"/definitions/{SHARED}").raise_for_status().json()
        return {each["name"] for kind in ("queues", "exchanges") for each in exported[kind]}

    def virtual_hosts(self) -> set[str]:
        return {each["name"] for each in self._client.get("/vhosts").raise_for_status().json()}

    def environment(self, who: str) -> dict[str, str]:
        """Return the settings with which a lab uses this broker."""
        if who == "administrator":
            return {"AMQP_URL": self.admin_url, "RMQLAB_MANAGEMENT_URL": self.management_url}
        return {"AMQP_URL": self.user_url}

    @contextlib.contextmanager
    def stranger(self) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
        """Return a channel of somebody who is not this process, as far as the lab knows."""
        # Another process would be as good, and slower.
        originals = {name: getattr(Channel, name) for name in METHODS}
        for name, method in originals.items():
            setattr(Channel, name, getattr(method, "__wrapped__", method))
        try:
            with contextlib.closing(
                pika.BlockingConnection(pika.URLParameters(self.admin_url))
            ) as connection:
                yield connection.channel()
        finally:
            for name, method in originals.items():
                setattr(Channel, name, method)

    def furnish(self) -> None:
        """Let a stranger have an exchange, a queue and others, with bindings and a policy."""
        with self.stranger() as channel:
            channel.exchange_declare(names.EVENTS, "fanout", durable=True)
            channel.exchange_declare(names.ROUTING, "direct", durable=True)
            channel.exchange_bind(names.ROUTING, names.EVENTS)
            channel.queue_declare("theirs", durable=True)
            channel.queue_bind("theirs", names.EVENTS)
            channel.queue_bind("theirs", names.ROUTING, "high-priority")
        policy = {"pattern": "^theirs", "definition": {"max-length": 10}, "apply-to": "queues"}
        self.put(f"/policies/{SHARED}/theirs", **policy)
