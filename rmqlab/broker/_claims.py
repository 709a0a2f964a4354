"""What this very run made in a virtual host that others use as well.

A declare succeeds on what is there already, and the lessons declare in plain pika. So the declares,
deletes and purges of `pika.channel.Channel`, which all of pika goes through, are watched: what was
not there before is claimed and made; what another made is refused and not touched.

AMQP leaves two gaps: the millisecond between the look at a name and its making, and a name that was
freed by the broker (`auto_delete`, `x-expires`) or another process, and that somebody else then takes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Literal

import pika
from pika import exceptions as amqp_errors
from pika.channel import Channel

from rmqlab.broker._address import Address
from rmqlab.broker._connection import (
    ACCESS_REFUSED,
    NOT_FOUND,
    OWN_NAME,
    PRECONDITION_FAILED,
    RESOURCE_LOCKED,
    short_connection,
)
from rmqlab.errors import BrokerError, NameTakenError

ObjectKind = Literal["queue", "exchange"]
Claim = tuple[ObjectKind, str]

logger = logging.getLogger("rmqlab.broker")

THERE = 0
LOOK_AGAIN_S = 0.05
LOCK_TIMEOUT_S = 5  # another lab is making something of the same name at this moment
IN_USE_TIMEOUT_S = 2  # exclusive queues of connections that have just ended
# What a user has no right to cannot be made, deleted or purged: the broker sees to that.
FREE = (NOT_FOUND, ACCESS_REFUSED)
PREDEFINED = "amq."  # begins the names of the exchanges that are always there
WATCHED = ("queue_declare", "exchange_declare", "queue_delete", "exchange_delete", "queue_purge")

_lock = threading.RLock()
_active: list[Claims] = []
_originals: dict[str, Callable[..., Any]] = {}


class Claims:
    """The queues and exchanges that this process makes in a shared virtual host."""

    def __init__(self, address: Address, cluster_name: str) -> None:
        self._address = address
        # Not host and port: a connection may come by another way, such as a `Link`.
        self._place = (cluster_name, address.virtual_host)
        self._names: dict[Claim, None] = {}
        self._notify: Callable[[bool, str, str], None] = lambda *_: None
        self._exclusive: set[str] = set()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()  # that have exclusive queues

    def start(self, notify: Callable[[bool, str, str], None]) -> None:
        """Watch all declares of this process from now on, and notify of each claim before it is made."""
        self._notify = notify
        with _lock:
            _active.append(self)
            for name in () if _originals else WATCHED:
                _originals[name] = getattr(Channel, name)
                setattr(Channel, name, _watched(name, _originals[name]))

    def stop(self) -> None:
        """Watch no more, and end the connections that have exclusive queues. Safe to call twice."""
        with _lock:
            if self in _active:
                _active.remove(self)
            if not _active:
                _restore()
        # These queues may be bound to this run's exchanges, which could not be deleted otherwise.
        for connection in list(self._connections):
            # Other threads may use it, so only its socket may be touched.
            with contextlib.suppress(AttributeError, OSError):
                connection._transport._sock.shutdown(socket.SHUT_RDWR)

    def made(self) -> list[Claim]:
        """Return what is claimed now, in the order it was made."""
        with _lock:
            return list(self._names)

    def queues(self) -> set[str]:
        """Return the names of this run's queues; exclusive ones may be gone."""
        with _lock:
            return self._exclusive | {name for kind, name in self._names if kind == "queue"}

    def covers(self, connection: Any) -> bool:
        """Return True if a connection of pika's is to this broker and virtual host."""
        name = (connection.server_properties or {}).get("cluster_name") or ""
        name = name.decode() if isinstance(name, bytes) else name
        return (name, connection.params.virtual_host) == self._place

    def refuse_taken(self, *wanted: Claim, free: tuple[int, ...] = FREE) -> None:
        """Raise NameTakenError if `look` says of a name of another process that it is not `free`."""
        with _lock:
            if unclaimed := [each for each in wanted if not self._holder(*each)]:
                with short_connection(self._address) as connection:
                    for each in unclaimed:
                        if look(connection, *each) not in free:
                            raise self._taken(*each)

    def before(self, method: str, channel: Channel, call: dict[str, Any]) -> None:
        """See to the claims before a channel's method is called; may change the call."""
        kind: ObjectKind = "queue" if method.startswith("queue") else "exchange"
        name = call[kind]
        if method.endswith("declare"):
            self._before_declare(kind, name, channel, call)
        elif name:
            # The broker protects from us what is exclusive.
            self.refuse_taken((kind, name), free=(*FREE, RESOURCE_LOCKED))
            if method.endswith("delete"):
                _on_answer(call, lambda _: self._withdraw(kind, name))

    def _before_declare(self, kind: ObjectKind, name: str, channel: Channel, call: dict[str, Any]) -> None:
        if call["passive"] or (kind == "exchange" and (not name or name.startswith(PREDEFINED))):
            return
        if call.get("exclusive"):
            connection = channel.connection
            _on_answer(call, lambda frame: self._note_exclusive(connection, frame.method.queue))
        elif name:
            settings = {key: value for key, value in call.items() if key not in ("self", "callback")}
            self._declare(kind, name, settings)
        else:
            _on_answer(call, lambda frame: self._add("queue", frame.method.queue))

    def _declare(self, kind: ObjectKind, name: str, settings: dict[str, Any]) -> None:
        """Claim a name and make what it names, before its caller declares it; raises NameTakenError."""
        with _lock:
            if self._holder(kind, name):
                return
            with short_connection(self._address) as connection:
                lock_out_other_labs(connection, name)
                found = look(connection, kind, name)
                if found not in FREE:
                    raise self._taken(kind, name)
                if found == NOT_FOUND:
                    self._make(connection, kind, name, settings)

    def _make(
        self, connection: pika.BlockingConnection, kind: ObjectKind, name: str, settings: dict[str, Any]
    ) -> None:
        self._add(kind, name)  # first, so that a kill at any moment leaves nothing behind
        try:
            make(connection, kind, **settings)
        except Exception as error:
            is_refusal = isinstance(error, amqp_errors.ConnectionClosedByBroker)
            if isinstance(error, amqp_errors.AMQPConnectionError) and not is_refusal:
                raise  # it may have been made
            self._withdraw(kind, name)  # the caller's own declare tells why

    def _add(self, kind: ObjectKind, name: str) -> None:
        with _lock:
            self._names[kind, name] = None
            self._notify(True, kind, name)

    def _withdraw(self, kind: ObjectKind, name: str) -> None:
        with _lock:
            if holder := self._holder(kind, name):
                del holder._names[kind, name]
                holder._notify(False, kind, name)

    def _note_exclusive(self, connection: Any, name: str) -> None:
        with _lock:
            self._exclusive.add(name)
            self._connections.add(connection)

    def _holder(self, kind: ObjectKind, name: str) -> Claims | None:
        """Return who of this process's claims on this virtual host has a name."""
        same = (each for each in (self, *_active) if each._place == self._place)
        return next((each for each in same if (kind, name) in each._names), None)

    def _taken(self, kind: ObjectKind, name: str) -> NameTakenError:
        article = "an" if kind == "exchange" else "a"
        return NameTakenError(
            f"The virtual host {self._address.virtual_host!r} already has {article} {kind} {name!r} "
            "that this lab did not make, and it may be in use. Next: end the other lab or lesson that made "
            "it, or give the lab an empty virtual host in AMQP_URL, or a user with the tag 'administrator' "
            "and the management plugin, so that it makes one"
        )


def look(connection: pika.BlockingConnection, kind: ObjectKind, name: str) -> int:
    """Return `THERE` if a name is taken, or AMQP's reply code; a passive declare changes nothing."""
    # RabbitMQ 4.3 answers `ACCESS_REFUSED` to a user with no right at all to the name; 3.10 does not.
    refusal = _refusal(connection, f"{kind}_declare", **{kind: name}, passive=True)
    return refusal.reply_code if refusal else THERE


def make(connection: pika.BlockingConnection, kind: ObjectKind, **settings: Any) -> None:
    """Declare a queue or an exchange; raises what pika raises."""
    with connection.channel() as channel:
        getattr(channel, f"{kind}_declare")(**settings)


def lock_out_other_labs(connection: pika.BlockingConnection, name: str) -> None:
    """Hold an exclusive queue, which only one connection can have; NameTakenError if another lab keeps it."""
    # Its name begins as the one to be claimed, as the user may have the right to no others.
    queue = f"{name[:100]}:rmqlab-claim"
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while refusal := _refusal(connection, "queue_declare", queue=queue, exclusive=True):
        if refusal.reply_code != RESOURCE_LOCKED:
            logger.debug("no lock while %r is made: %s", name, refusal.reply_text)
            return
        if time.monotonic() > deadline_s:
            raise NameTakenError(
                f"Another lab has been making {name!r} for {LOCK_TIMEOUT_S} s. "
                "Next: end that lab, or try again"
            )
        connection.sleep(LOOK_AGAIN_S)


def clean_up(address: Address, claims: Iterable[Iterable[str]]) -> None:
    """Delete what was claimed; an exchange that somebody else has bound meanwhile stays, and is logged."""
    with short_connection(address) as connection:
        for queue in [name for kind, name in claims if kind == "queue"]:
            if refusal := _refusal(connection, "queue_delete", queue=queue):
                logger.warning("could not delete the lab's queue %r: %s", queue, refusal.reply_text)
        exchanges = [name for kind, name in claims if kind == "exchange"]
        deadline_s = time.monotonic() + IN_USE_TIMEOUT_S
        # One may be bound to another, so that it takes several passes.
        while (exchanges := _delete_unused(connection, exchanges)) and time.monotonic() < deadline_s:
            connection.sleep(LOOK_AGAIN_S)
    if exchanges:
        what = ", ".join(map(repr, exchanges))
        logger.warning("somebody else has bound to what the lab made; left as it is: exchange %s", what)


def _delete_unused(connection: pika.BlockingConnection, exchanges: list[str]) -> list[str]:
    """Delete the exchanges that nothing is bound to, and return the others."""
    used = []
    for exchange in exchanges:
        refusal = _refusal(connection, "exchange_delete", exchange=exchange, if_unused=True)
        if refusal and refusal.reply_code == PRECONDITION_FAILED:
            used.append(exchange)
        elif refusal:
            logger.warning("could not delete the lab's exchange %r: %s", exchange, refusal.reply_text)
    return used


def _refusal(
    connection: pika.BlockingConnection, method: str, **arguments: Any
) -> amqp_errors.ChannelClosedByBroker | None:
    """Call a method on a channel of its own, and return the broker's refusal, if it is one."""
    try:
        with connection.channel() as channel:
            getattr(channel, method)(**arguments)
    except amqp_errors.ChannelClosedByBroker as error:
        return error
    return None


def _on_answer(call: dict[str, Any], note: Callable[[Any], object]) -> None:
    """Take note of the broker's answer before the caller gets it."""
    callback = call["callback"]

    def answered(frame: Any) -> None:
        note(frame)
        if callback:
            callback(frame)

    call["callback"] = answered


def _watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def method(channel: Channel, *values: Any, **named: Any) -> Any:
        claims = _claims_of(channel)
        if claims is None:
            return original(channel, *values, **named)
        call = signature.bind(channel, *values, **named)
        call.apply_defaults()
        try:
            claims.before(name, channel, call.arguments)
        except NameTakenError:
            raise
        except BrokerError as error:  # programs in plain pika connect again after an error of pika's
            raise amqp_errors.AMQPConnectionError(str(error)) from error
        return original(*call.args, **call.kwargs)

    return method


def _claims_of(channel: Channel) -> Claims | None:
    """Return the newest claims on the virtual host of a channel that is open."""
    connection = channel.connection
    client = connection.params.client_properties or {}
    if not channel.is_open or client.get("connection_name") == OWN_NAME:
        return None
    with _lock:
        return next((each for each in reversed(_active) if each.covers(connection)), None)


def _restore() -> None:
    while _originals:
        setattr(Channel, *_originals.popitem())


def _forget() -> None:
    """Begin anew in a forked child: what it declares is not this run's to delete."""
    global _lock  # noqa: PLW0603 - some other thread of the parent may hold it for ever
    _lock = threading.RLock()
    _active.clear()
    _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
