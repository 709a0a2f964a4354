"""Open a connection, or say in one sentence why that did not work."""

from __future__ import annotations

import pika

from rmqlab.broker import Address, Broker, explain, quiet_pika, reach
from rmqlab.errors import BrokerUnavailableError

# Without a limit, a publisher waits for ever on a broker that raised its memory alarm.
BLOCKED_TIMEOUT_S = 30


def connect(broker: Broker | str, *, name: str = "rmqlab") -> pika.BlockingConnection:
    """Open a connection to a broker.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        name: the connection's name, as the broker's management pages show it.

    Returns:
        An open connection; the caller closes it.

    Raises:
        AddressError: the URL cannot be right.
        BrokerUnavailableError: why no connection could be opened, and the next step.

    Source: https://www.rabbitmq.com/docs/connections (client-provided names, blocking)
    """
    address = Address.parse(broker) if isinstance(broker, str) else broker.address
    parameters = address.parameters
    parameters.client_properties = {"connection_name": name}
    parameters.blocked_connection_timeout = BLOCKED_TIMEOUT_S

    def attempt() -> pika.BlockingConnection:
        try:
            return pika.BlockingConnection(parameters)
        except Exception as error:
            raise BrokerUnavailableError(explain(error, address)) from error

    with quiet_pika():
        return reach(attempt)
