"""What is in a virtual host: look, make, delete."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Literal

import pika
from pika import exceptions as amqp_errors

from rmqlab.broker._address import Address
from rmqlab.broker._connection import short_connection
from rmqlab.errors import NameTakenError

THERE = 0
ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED = 403, 404, 405, 406  # AMQP's reply codes
LOOK_AGAIN_S = 0.05
LOCK_TIMEOUT_S = 5  # another lab is making something of the same name at this moment
IN_USE_TIMEOUT_S = 2  # exclusive queues of connections that have just ended

ObjectKind = Literal["queue", "exchange"]

logger = logging.getLogger("rmqlab.broker")


def look(connection: pika.BlockingConnection, kind: ObjectKind, name: str) -> int:
    """Return `THERE` if a name is taken, or AMQP's reply code; a passive declare changes nothing."""
    # RabbitMQ 4.3 answers `ACCESS_REFUSED` to a user with no right at all to the name; 3.10 does not.
    refusal = _refusal(connection, f"{kind}_declare", **{kind: name}, passive=True)
    return refusal.reply_code if refusal else THERE


def make(connection: pika.BlockingConnection, kind: ObjectKind, **settings: Any) -> None:
    """Declare a queue or an exchange; raises what pika raises."""
    with connection.channel() as channel:
        (channel.queue_declare if kind == "queue" else channel.exchange_declare)(**settings)


def lock_out_other_labs(connection: pika.BlockingConnection, name: str) -> None:
    """Hold an exclusive queue, which only one connection can have; NameTakenError if another lab keeps it."""
    # Its name begins as the one to be claimed, as the user may have the right to no others.
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while refusal := _refusal(
        connection, "queue_declare", queue=f"{name[:100]}:rmqlab-claim", exclusive=True
    ):
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
