"""A connection of the lab's own, for a question or two."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pika
from pika import exceptions as amqp_errors

from rmqlab.broker._address import HANDSHAKE_TIMEOUT_S, SOCKET_TIMEOUT_S, Address, explain, quiet_pika
from rmqlab.errors import BrokerUnavailableError, ConnectionLostError

# A broker that stands still is given up after about three of these.
HEARTBEAT_S = 5

_here = threading.local()


@contextlib.contextmanager
def short_connection(address: Address) -> Iterator[pika.BlockingConnection]:
    """Open a connection for a `with` block, and close it after.

    Args:
        address: where the broker is.

    Raises:
        BrokerUnavailableError: no connection could be opened; says why.
        ConnectionLostError: the connection was lost within the block.
    """
    parameters = address.parameters
    parameters.connection_attempts = 1
    parameters.socket_timeout = SOCKET_TIMEOUT_S
    parameters.stack_timeout = HANDSHAKE_TIMEOUT_S
    parameters.blocked_connection_timeout = HANDSHAKE_TIMEOUT_S
    parameters.heartbeat = HEARTBEAT_S
    with quiet_pika():
        try:
            connection = pika.BlockingConnection(parameters)
        except Exception as error:
            raise BrokerUnavailableError(explain(error, address)) from error
        outer = is_own_call()
        _here.is_own_call = True
        try:
            yield connection
        except amqp_errors.AMQPConnectionError as error:
            raise ConnectionLostError(
                f"The connection to {address.host}:{address.port} was lost ({error!r}). "
                "Next: see that the broker runs, and try again"
            ) from error
        finally:
            _here.is_own_call = outer
            with contextlib.suppress(amqp_errors.AMQPError):
                connection.close()


def is_own_call() -> bool:
    """Return True within the block of a short connection of this thread."""
    return getattr(_here, "is_own_call", False)
