"""What is in a virtual host: look, make, delete, over a connection of the lab's own."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from typing import Any, Literal

import pika
from pika import exceptions as amqp_errors

from rmqlab.broker._address import Address
from rmqlab.broker._short_connection import short_connection
from rmqlab.errors import NameTakenError

ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED = 403, 404, 405, 406  # AMQP's reply codes
LOOK_AGAIN_S = 0.05
# For another lab that is making something of the same name at this moment.
LOCK_TIMEOUT_S = 5
# For the exclusive queues of connections that have just ended.
IN_USE_TIMEOUT_S = 2

Kind = Literal["queue", "exchange"]

logger = logging.getLogger("rmqlab.broker")


def clean_up(address: Address, claims: Collection[Iterable[str]]) -> None:
    """Delete what was claimed: queues, and then the exchanges that nothing is bound to any more.

    An exchange that somebody else has bound meanwhile stays, with a sentence in the log.

    Args:
        address: the broker and its virtual host.
        claims: kind and name of each claim.

    Raises:
        BrokerError: the broker is gone.
    """
    if not claims:
        return
    with short_connection(address) as connection:
        for queue in [name for kind, name in claims if kind == "queue"]:
            if refusal := _refusal(connection, "queue_delete", queue=queue):
                logger.warning("could not delete the lab's queue %r: %s", queue, refusal.reply_text)
        _delete_exchanges(connection, [name for kind, name in claims if kind == "exchange"])


def _delete_exchanges(connection: pika.BlockingConnection, exchanges: list[str]) -> None:
    """Delete exchanges in several passes, as one may be bound to another."""
    deadline_s = time.monotonic() + IN_USE_TIMEOUT_S
    while exchanges:
        in_use = []
        for exchange in exchanges:
            refusal = _refusal(connection, "exchange_delete", exchange=exchange, if_unused=True)
            if refusal and refusal.reply_code == PRECONDITION_FAILED:
                in_use.append(exchange)
            elif refusal:
                logger.warning("could not delete the lab's exchange %r: %s", exchange, refusal.reply_text)
        if in_use and time.monotonic() > deadline_s:
            what = ", ".join(map(repr, in_use))
            logger.warning("somebody else has bound to what the lab made; left as it is: exchange %s", what)
            return
        if in_use == exchanges:
            connection.sleep(LOOK_AGAIN_S)
        exchanges = in_use


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


def make(connection: pika.BlockingConnection, kind: Kind, name: str, **settings: Any) -> None:
    """Declare a queue or an exchange; raises what pika raises."""
    with connection.channel() as channel:
        (channel.queue_declare if kind == "queue" else channel.exchange_declare)(name, **settings)


def look(
    connection: pika.BlockingConnection, kind: Kind, name: str
) -> Literal["there", "missing", "locked", "forbidden"]:
    """Look whether a name is there, by a passive declare, which changes nothing."""
    refusal = _refusal(connection, f"{kind}_declare", **{kind: name}, passive=True)
    if refusal is None:
        return "there"
    if refusal.reply_code == ACCESS_REFUSED:
        return "forbidden"
    return "missing" if refusal.reply_code == NOT_FOUND else "locked"


def lock_out_other_labs(connection: pika.BlockingConnection, name: str) -> None:
    """Hold an exclusive queue, which only one connection can have, until the connection closes.

    Its name begins as the one to be claimed, as the user may make no others.

    Source: https://www.rabbitmq.com/docs/queues (exclusive queues)
    """
    lock = f"{name[:100]}:rmqlab-claim"
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        channel = connection.channel()
        try:
            channel.queue_declare(lock, exclusive=True)
        except amqp_errors.ChannelClosedByBroker as error:
            if error.reply_code != RESOURCE_LOCKED:
                logger.debug("no lock while %r is made: %s", name, error.reply_text)
                return
        else:
            return
        if time.monotonic() > deadline_s:
            raise NameTakenError(
                f"Another lab has been making {name!r} for {LOCK_TIMEOUT_S} s. "
                "Next: end that lab, or try again"
            )
        connection.sleep(LOOK_AGAIN_S)
