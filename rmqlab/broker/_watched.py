"""The methods of pika's channels that a lab watches while it is in a shared virtual host."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pika import exceptions as amqp_errors
from pika.channel import Channel

from rmqlab.broker._connection import ACCESS_REFUSED, NOT_FOUND, OWN_NAME, RESOURCE_LOCKED
from rmqlab.errors import BrokerError, NameTakenError

if TYPE_CHECKING:
    from rmqlab.broker._claims import Claims, ObjectKind

PREDEFINED = "amq."  # begins the names of the exchanges that are always there
# What is exclusive the broker protects from others, and so what the user has no right to.
FREE_TO_DELETE = (NOT_FOUND, RESOURCE_LOCKED, ACCESS_REFUSED)
WATCHED = ("queue_declare", "exchange_declare", "queue_delete", "exchange_delete", "queue_purge")

lock = threading.RLock()
active: list[Claims] = []
_originals: dict[str, Callable[..., Any]] = {}


def watch(claims: Claims) -> None:
    """Hand what this process declares, deletes and purges in a virtual host to its claims."""
    with lock:
        active.append(claims)
        for name in () if _originals else WATCHED:
            _originals[name] = getattr(Channel, name)
            setattr(Channel, name, _watched(name, _originals[name]))


def unwatch(claims: Claims) -> None:
    """Give pika its own methods back, unless others are watching. Safe to call twice."""
    with lock:
        if claims in active:
            active.remove(claims)
        if not active:
            _restore()


def _before(method: str, claims: Claims, channel: Channel, call: dict[str, Any]) -> None:
    """See to the claims before a channel's method is called; may change the call."""
    kind: ObjectKind = "queue" if method.startswith("queue") else "exchange"
    name = call[kind]
    if method.endswith("declare"):
        _before_declare(kind, name, claims, channel, call)
    elif name:
        claims.refuse_taken((kind, name), free=FREE_TO_DELETE)
        if method.endswith("delete"):
            _on_answer(call, lambda _: claims.withdraw(kind, name))


def _before_declare(
    kind: ObjectKind, name: str, claims: Claims, channel: Channel, call: dict[str, Any]
) -> None:
    if call["passive"] or (kind == "exchange" and (not name or name.startswith(PREDEFINED))):
        return
    if call.get("exclusive"):
        connection = channel.connection
        _on_answer(call, lambda frame: claims.note_exclusive(connection, frame.method.queue))
    elif name:
        settings = {key: value for key, value in call.items() if key not in ("self", "callback")}
        claims.declare(kind, name, settings)
    else:
        _on_answer(call, lambda frame: claims.add("queue", frame.method.queue))


def _on_answer(call: dict[str, Any], note: Callable[[Any], object]) -> None:
    """Take note of the broker's answer before the caller hears of it."""
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
            _before(name, claims, channel, call.arguments)
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
    with lock:
        return next((each for each in reversed(active) if each.covers(connection)), None)


def _restore() -> None:
    for name, original in _originals.items():
        setattr(Channel, name, original)
    _originals.clear()


def _forget() -> None:
    """Begin anew in a forked child: what it declares is not this run's to delete."""
    global lock  # noqa: PLW0603 - some other thread of the parent may hold it for ever
    lock = threading.RLock()
    active.clear()
    _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
