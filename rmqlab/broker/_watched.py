"""The methods of pika's channels that a lab watches while it is in a shared virtual host."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pika.channel import Channel

from rmqlab.broker._objects import Kind
from rmqlab.broker._short_connection import is_own_call
from rmqlab.broker._source import token

if TYPE_CHECKING:
    from rmqlab.broker._claims import Claims

PREDEFINED = "amq."  # begins the names that only the broker makes

Callback = Callable[[Any], object]

lock = threading.RLock()
active: list[Claims] = []
_originals: dict[str, Callable[..., Any]] = {}


def watch(claims: Claims) -> None:
    """Hand what this process declares, deletes and purges in a virtual host to its claims."""
    with lock:
        active.append(claims)
        if not _originals:
            _patch()


def unwatch(claims: Claims) -> None:
    """Give pika its own methods back, unless others are watching. Safe to call twice."""
    with lock:
        if claims in active:
            active.remove(claims)
        if not active:
            _restore()


def _before_queue_declare(claims: Claims, channel: Channel, call: dict[str, Any]) -> None:
    name = call["queue"]
    if call["passive"]:
        return
    if call["exclusive"]:
        connection = channel.connection
        call["callback"] = _first(
            lambda frame: claims.note_exclusive(connection, frame.method.queue), call["callback"]
        )
    elif not name:
        call["callback"] = _first(lambda frame: claims.add("queue", frame.method.queue), call["callback"])
    elif not name.startswith(PREDEFINED):
        settings = {key: call[key] for key in ("durable", "auto_delete", "arguments")}
        claims.declare("queue", name, settings)


def _before_exchange_declare(claims: Claims, _: Channel, call: dict[str, Any]) -> None:
    name = call["exchange"]
    if name and not call["passive"] and not name.startswith(PREDEFINED):
        keys = ("exchange_type", "durable", "auto_delete", "internal", "arguments")
        claims.declare("exchange", name, {key: call[key] for key in keys})


def _before_delete(kind: Kind, claims: Claims, _: Channel, call: dict[str, Any]) -> None:
    name = call[kind]
    if not name:
        return
    if claims.may_touch(kind, name):
        call["callback"] = _first(lambda _: claims.withdraw(kind, name), call["callback"])
    else:
        call[kind] = f"{name[:100]}:{token()}"  # which is not there either, and cannot be a stranger's


def _before_queue_purge(claims: Claims, _: Channel, call: dict[str, Any]) -> None:
    if call["queue"]:
        claims.may_touch("queue", call["queue"])


WATCHED: dict[str, Callable[[Claims, Channel, dict[str, Any]], None]] = {
    "queue_declare": _before_queue_declare,
    "exchange_declare": _before_exchange_declare,
    "queue_delete": functools.partial(_before_delete, "queue"),
    "exchange_delete": functools.partial(_before_delete, "exchange"),
    "queue_purge": _before_queue_purge,
}


def _first(note: Callback, callback: Callback | None) -> Callback:
    """Return a callback that takes note of an answer, and then hands it on."""

    def called(frame: Any) -> None:
        note(frame)
        if callback:
            callback(frame)

    return called


def _watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def method(channel: Channel, *values: Any, **named: Any) -> Any:
        claims = _claims_of(channel)
        if claims is None:
            return original(channel, *values, **named)
        call = signature.bind(channel, *values, **named)
        call.apply_defaults()
        WATCHED[name](claims, channel, call.arguments)
        return original(*call.args, **call.kwargs)

    return method


def _claims_of(channel: Channel) -> Claims | None:
    """Return the newest claims on the virtual host of a channel that is open."""
    if is_own_call() or not channel.is_open:
        return None
    with lock:
        return next((each for each in reversed(active) if each.covers(channel.connection)), None)


def _patch() -> None:
    for name in WATCHED:
        _originals[name] = getattr(Channel, name)
        setattr(Channel, name, _watched(name, _originals[name]))


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
