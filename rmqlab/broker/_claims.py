"""What this very run made in a virtual host that others use as well.

A declare succeeds on what is there already, so the broker does not tell who made what; and the
lessons declare in plain pika. So, while a lab is in a shared virtual host, the declares, deletes
and purges of `pika.channel.Channel`, which all of pika goes through, are watched: what was not
there before is claimed and made, and what is there already, and was not made by this run, is
refused and not touched. At the end the claims are deleted, and nothing else.

Between the look at a name and its making a stranger has about a millisecond, which AMQP cannot
close. Two labs cannot come between each other.
"""

from __future__ import annotations

import contextlib
import socket
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import pika
from pika import exceptions as amqp_errors

from rmqlab.broker import _watched
from rmqlab.broker._address import Address
from rmqlab.broker._objects import Kind, lock_out_other_labs, look, make
from rmqlab.broker._short_connection import short_connection
from rmqlab.errors import BrokerError, ConnectionLostError, NameTakenError

Claim = tuple[Kind, str]


class ClaimLostError(ConnectionLostError, amqp_errors.AMQPConnectionError):  # type: ignore[misc]
    """The connection that claims a name was lost: for programs in plain pika, an error of pika's."""


class Witness(Protocol):
    """Who has to know of each claim at once, as it deletes them where this process cannot."""

    def claimed(self, kind: str, name: str) -> None:
        """Hear that a name is about to be made."""

    def withdrawn(self, kind: str, name: str) -> None:
        """Hear that a name is no longer this run's."""


class Claims:
    """The queues and exchanges that this process makes in a shared virtual host.

    Args:
        address: the broker and its virtual host.
        cluster_name: what the broker calls itself. A connection may come by another way, such
            as a `Link`, so its host and port do not tell which broker it is to.
    """

    def __init__(self, address: Address, cluster_name: str) -> None:
        self._address = address
        self._cluster_name = cluster_name
        self._names: dict[Claim, None] = {}
        self._witness: Witness | None = None
        # Queues that go with their connections, by connection.
        self._exclusive: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()

    def start(self, witness: Witness) -> None:
        """Watch all declares of this process from now on.

        Args:
            witness: hears of each claim before anything is made.
        """
        with _watched.lock:
            self._witness = witness
            _watched.watch(self)

    def stop(self) -> None:
        """Watch no more, and end the connections that have exclusive queues. Safe to call twice.

        These queues are this run's, and may be bound to its exchanges. With every other source
        of a broker `stop` ends all connections.
        """
        with _watched.lock:
            _watched.unwatch(self)
        for connection in list(self._exclusive):
            _cut_off(connection)

    def made(self) -> list[Claim]:
        """Return what is claimed now, in the order it was made."""
        with _watched.lock:
            return list(self._names)

    def queues(self) -> set[str]:
        """Return the names of this run's queues, exclusive ones of open connections included."""
        with _watched.lock:
            claimed = {name for kind, name in self._names if kind == "queue"}
            return claimed.union(*(names for each, names in self._exclusive.items() if each.is_open))

    def find_taken(self, wanted: Iterable[Claim]) -> Claim | None:
        """Return the first of these names that somebody else has; None if they are free.

        What another broker object of this process has claimed is not somebody else's.

        Raises:
            BrokerError: the broker cannot be asked.
        """
        with short_connection(self._address) as connection:
            for kind, name in wanted:
                if self._holder(kind, name) is None and look(connection, kind, name) in {"there", "locked"}:
                    return kind, name
        return None

    def covers(self, connection: Any) -> bool:
        """Return True if a connection of pika's is to this broker and virtual host."""
        name = (connection.server_properties or {}).get("cluster_name") or ""
        name = name.decode() if isinstance(name, bytes) else name
        return (connection.params.virtual_host, name) == (self._address.virtual_host, self._cluster_name)

    def declare(self, kind: Kind, name: str, settings: dict[str, Any]) -> None:
        """Claim a name and make what it names, before its caller declares it.

        Where the broker refuses to make it, nothing is claimed: the caller's own declare tells.

        Raises:
            NameTakenError: it is there already, and not this run's.
            ClaimLostError: the broker cannot be asked.
        """
        with _watched.lock, _lost_as_pika_tells():
            if self._holder(kind, name):
                return
            with short_connection(self._address) as connection:
                lock_out_other_labs(connection, name)
                found = look(connection, kind, name)
                if found in {"there", "locked"}:
                    raise self.taken(kind, name)
                if found == "missing":
                    self._make(connection, kind, name, settings)

    def add(self, kind: Kind, name: str) -> None:
        """Claim what is there already, such as a queue that the broker named."""
        with _watched.lock:
            self._names[kind, name] = None
            if self._witness:
                self._witness.claimed(kind, name)

    def withdraw(self, kind: Kind, name: str) -> None:
        """Withdraw a claim, as what it names is no longer there."""
        with _watched.lock:
            for names in self._exclusive.values() if kind == "queue" else ():
                names.discard(name)
            if holder := self._holder(kind, name):
                del holder._names[kind, name]
                if holder._witness:
                    holder._witness.withdrawn(kind, name)

    def note_exclusive(self, connection: Any, name: str) -> None:
        """Remember a queue that goes with its connection."""
        with _watched.lock:
            self._exclusive.setdefault(connection, set()).add(name)

    def may_touch(self, kind: Kind, name: str) -> bool:
        """Return True if a name is this run's, False if it is nobody's.

        What is exclusive is protected by the broker, and so is what the user has no right to.

        Raises:
            NameTakenError: it is there, and not this run's.
            ClaimLostError: the broker cannot be asked.
        """
        with _watched.lock, _lost_as_pika_tells():
            if self._holder(kind, name):
                return True
            with short_connection(self._address) as connection:
                found = look(connection, kind, name)
        if found == "there":
            raise self.taken(kind, name)
        return found != "missing"

    def taken(self, kind: Kind, name: str) -> NameTakenError:
        """Return the error that says that a name is somebody else's."""
        article = "an" if kind == "exchange" else "a"
        return NameTakenError(
            f"The virtual host {self._address.virtual_host!r} already has {article} {kind} {name!r} "
            "that this lab did not make, and it may be in use. Next: end the other lab or lesson that made "
            "it, or give the lab an empty virtual host in AMQP_URL, or a user with the tag 'administrator' "
            "and the management plugin, so that it makes one"
        )

    def _holder(self, kind: Kind, name: str) -> Claims | None:
        """Return who of this process's claims on this virtual host has a name."""
        same = (each for each in [self, *_watched.active] if each._place == self._place)
        return next((each for each in same if (kind, name) in each._names), None)

    @property
    def _place(self) -> tuple[str, str]:
        return self._cluster_name, self._address.virtual_host

    def _make(
        self, connection: pika.BlockingConnection, kind: Kind, name: str, settings: dict[str, Any]
    ) -> None:
        self.add(kind, name)  # first, so that a kill at any moment leaves nothing behind
        try:
            make(connection, kind, name, **settings)
        except Exception as error:
            is_refusal = isinstance(error, amqp_errors.ConnectionClosedByBroker)
            if isinstance(error, amqp_errors.AMQPConnectionError) and not is_refusal:
                raise  # it may have been made
            self.withdraw(kind, name)


@contextlib.contextmanager
def _lost_as_pika_tells() -> Iterator[None]:
    """Raise errors of the lab's own connection as those that programs in plain pika expect."""
    try:
        yield
    except NameTakenError:
        raise
    except BrokerError as error:
        raise ClaimLostError(str(error)) from error


def _cut_off(connection: Any) -> None:
    """End a connection of another thread, or of none: only its socket may be touched."""
    with contextlib.suppress(AttributeError, OSError):
        connection._transport._sock.shutdown(socket.SHUT_RDWR)
