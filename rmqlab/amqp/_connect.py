"""Open a connection, or say in one sentence why that did not work; and empty queues."""

from __future__ import annotations

import contextlib

import pika

from rmqlab.broker import Broker
from rmqlab.broker._broker import address_of
from rmqlab.broker._connection import TIMEOUTS, explain, quiet_pika, reach
from rmqlab.errors import BrokerUnavailableError

# Without a limit, a publisher waits for ever on a broker that raised its memory alarm.
BLOCKED_TIMEOUT_S = 30


def connect(broker: Broker | str, *, name: str = "rmqlab") -> pika.BlockingConnection:
    """Open a connection to a broker.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        name: the connection's name, as the broker's management pages show it; the URL's
            client_properties may name another.

    Returns:
        An open connection; the caller closes it.

    Raises:
        AddressError: the URL cannot be right.
        BrokerUnavailableError: why no connection could be opened, and the next step.

    Source: https://www.rabbitmq.com/docs/connections (client-provided names, blocking)
    """
    address = address_of(broker, given_to="connect")
    parameters = address.parameters_for(name, **TIMEOUTS, blocked_connection_timeout=BLOCKED_TIMEOUT_S)

    def attempt() -> pika.BlockingConnection:
        try:
            return pika.BlockingConnection(parameters)
        except Exception as error:
            raise BrokerUnavailableError(explain(error, address)) from error

    with quiet_pika():
        return reach(attempt, host=address.host)


def purge(broker: Broker | str, *queues: str) -> None:
    """Delete the ready messages of queues; those that a consumer holds stay.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        queues: names of queues that are there.

    Raises:
        BrokerUnavailableError: no connection could be opened.

    Source: https://www.rabbitmq.com/docs/queues
    """
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_purge(queue)
