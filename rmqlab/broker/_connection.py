"""Short connections of the lab's own, and what a connection that does not open means."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pika
from pika import exceptions as amqp_errors
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from rmqlab.broker import _tls
from rmqlab.broker._address import Address
from rmqlab.errors import BrokerUnavailableError, ConnectionLostError

# Every connection of ours gives up after these, in seconds.
SOCKET_TIMEOUT_S = 5
HANDSHAKE_TIMEOUT_S = 10
TIMEOUTS = {"socket_timeout": SOCKET_TIMEOUT_S, "stack_timeout": HANDSHAKE_TIMEOUT_S}
HEARTBEAT_S = 5  # a broker that stands still is given up after about three of these
OWN_NAME = "rmqlab itself"  # what a short connection calls itself

# AMQP's reply codes.
ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED = 403, 404, 405, 406
# With these a broker says that it will not let us in: access-refused and not-allowed.
REFUSALS = (ACCESS_REFUSED, 530)

# An engine that starts or ends a container may take away for some seconds the route from a port on
# loopback to another one (seen with Podman 4.3 and netavark). What is not on loopback fails at once.
UNREACHABLE_LIMIT_S = 8
TRY_AGAIN_S = 0.2

T = TypeVar("T")

_quiet_lock = threading.Lock()
_quiet_levels: list[int] = []


@contextlib.contextmanager
def quiet_pika() -> Iterator[None]:
    """Keep pika from logging an attempt that fails: it becomes one sentence of ours."""
    logger = logging.getLogger("pika")
    with _quiet_lock:
        _quiet_levels.append(logger.level)
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _quiet_lock:
            # Several threads connect at once: the last one out gives back the first one's level.
            level = _quiet_levels.pop()
            if not _quiet_levels:
                logger.setLevel(level)


@contextlib.contextmanager
def short_connection(
    address: Address, socket_timeout_s: float = SOCKET_TIMEOUT_S
) -> Iterator[pika.BlockingConnection]:
    """Open a connection for a `with` block; raises BrokerUnavailableError, or ConnectionLostError in it."""
    parameters = address.parameters
    parameters.connection_attempts = 1
    parameters.socket_timeout = socket_timeout_s
    parameters.stack_timeout = HANDSHAKE_TIMEOUT_S
    parameters.blocked_connection_timeout = HANDSHAKE_TIMEOUT_S
    parameters.heartbeat = HEARTBEAT_S
    parameters.client_properties = {"connection_name": OWN_NAME}
    with quiet_pika():
        try:
            connection = pika.BlockingConnection(parameters)
        except Exception as error:
            raise BrokerUnavailableError(explain(error, address)) from error
        try:
            yield connection
        except amqp_errors.AMQPError as error:
            raise ConnectionLostError(
                f"The connection to {address.host}:{address.port} was lost ({error!r}). "
                "Next: see that the broker runs, and try again"
            ) from error
        finally:
            with contextlib.suppress(amqp_errors.AMQPError):
                connection.close()


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a broker says of itself when a client connects."""

    version: str
    cluster_name: str  # which all nodes of its cluster share


def probe(address: Address, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> ServerInfo:
    """Open a connection, close it, and return what the broker said; raises BrokerUnavailableError."""
    with short_connection(address, socket_timeout_s) as connection:
        # BlockingConnection has no public name for the server's properties.
        said = connection._impl.server_properties
    return ServerInfo(version=_text(said.get("version")), cluster_name=_text(said.get("cluster_name")))


def reach(connect: Callable[[], T], *, host: str, pause: Callable[[float], None] = time.sleep) -> T:
    """Call `connect`, for some seconds again while there is no route to a port on loopback."""
    if not (host in ("localhost", "::1") or host.startswith("127.")):
        return connect()
    retrying = Retrying(
        sleep=pause,
        wait=wait_fixed(TRY_AGAIN_S),
        stop=stop_after_delay(UNREACHABLE_LIMIT_S),
        retry=retry_if_exception(_is_unreachable),
        reraise=True,
    )
    return retrying(connect)


def explain(error: Exception, address: Address) -> str:
    """Return the reason of a connection that did not open, and the next step."""
    place, setting = address.place, address.setting or "its URL"
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.AuthenticationError):
        return (
            f"The broker at {place} refuses user {address.username!r} with this password. "
            f"Next: correct user and password in {setting}"
        )
    is_denied = isinstance(error, amqp_errors.ConnectionClosedByBroker) and error.reply_code in REFUSALS
    if is_denied or isinstance(error, amqp_errors.ProbableAccessDeniedError):
        return (
            f"The broker at {place} has no virtual host {address.virtual_host!r} for user "
            f"{address.username!r}. Next: correct the part behind the last '/' of {setting} "
            "('%2F' is the default one), or create it with rabbitmqctl add_vhost"
        )
    if tls_error := _tls.find_error(error):
        return _tls.explain(tls_error, f"the broker at {place}", setting=setting)
    if isinstance(error, amqp_errors.IncompatibleProtocolError | amqp_errors.ProtocolSyntaxError):
        return (
            f"What answers at {place} does not speak AMQP 0-9-1 with {address.scheme}://. "
            f"Next: correct the scheme or the port in {setting}"
        )
    if isinstance(error, socket.gaierror):
        return f"No host is called {address.host!r}. Next: correct the host in {setting}"
    next_step = f"start it or correct {setting}"
    if not address.setting:
        next_step = "see that it runs, and start it again"
    elif setting == "AMQP_URL":
        next_step += "; or unset AMQP_URL, and rmqlab starts a broker of its own"
    inner = innermost(error)
    reason = f"{type(inner).__name__}: {inner}".removesuffix(": ").partition("\n")[0][:100]
    return f"No broker answers at {place} ({reason}). Next: {next_step}"


def innermost(error: BaseException) -> Exception:
    """Return the reason behind pika's wrappers of a connection that did not open."""
    while True:
        inner: Any = getattr(error, "exceptions", None) or (getattr(error, "exception", None), *error.args)
        nested = [each for each in inner if isinstance(each, BaseException)]
        if not nested:
            return error if isinstance(error, Exception) else Exception(str(error))
        error = nested[-1]


def is_refusal(error: Exception) -> bool:
    """Return True if the broker refused a connection: to try again changes nothing."""
    if isinstance(error, amqp_errors.ConnectionClosedByBroker):
        return error.reply_code in REFUSALS
    # One that breaks while it is being opened looks the same to pika, but for the cause in its text.
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.ProbableAccessDeniedError):
        return any(f"ConnectionClosedByBroker: ({code})" in str(error.args) for code in REFUSALS)
    tls_error = _tls.find_error(error)
    is_refused_by_tls = tls_error is not None and _tls.is_refusal(tls_error)
    return isinstance(error, amqp_errors.AuthenticationError) or is_refused_by_tls


def _is_unreachable(error: BaseException) -> bool:
    reason = innermost(error.__cause__) if error.__cause__ else None
    return isinstance(reason, OSError) and reason.errno == errno.EHOSTUNREACH


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
