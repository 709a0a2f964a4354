"""Where a broker is: AMQP URLs, read with clear errors and shown without their password."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pika
from pika import exceptions as amqp_errors

from rmqlab.errors import AddressError, BrokerUnavailableError

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
EXAMPLE = "amqp://user:password@localhost:5672/vhost"

# Every connection of ours gives up after these, in seconds.
SOCKET_TIMEOUT_S = 5
HANDSHAKE_TIMEOUT_S = 10
REASON_LENGTH = 100

# With these codes a broker says that it will not let us in: access-refused and not-allowed.
REFUSALS = (403, 530)

_quiet_lock = threading.Lock()
_quiet_levels: list[int] = []


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an AMQP URL.

    Attributes:
        scheme: `amqp` or `amqps`.
        host: name or address of the broker.
        port: TCP port.
        username: user to log in as.
        password: password of that user; not shown in the repr.
        virtual_host: virtual host, decoded: `/` and not `%2F`.
        query: options of pika's URLParameters, as they stood in the URL.
    """

    scheme: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    query: str = ""

    @classmethod
    def parse(cls, url: str, *, setting: str = "AMQP_URL") -> Address:
        """Read an AMQP URL, as RabbitMQ's URI specification defines it.

        Args:
            url: the URL.
            setting: what the URL was given as, for the error.

        Raises:
            AddressError: the scheme, the host or the port cannot be right.

        Source: https://www.rabbitmq.com/docs/uri-spec
        """
        advice = f"Next: set it to a URL such as {EXAMPLE}"
        try:
            parts = urlsplit(url.strip())
        except ValueError as error:  # brackets that hold no IPv6 address
            raise AddressError(f"{setting} has a host that cannot be read. {advice}") from error
        if parts.scheme not in DEFAULT_PORTS:
            shown = f"{parts.scheme}://" if parts.scheme and "://" in url else "no scheme"
            raise AddressError(f"{setting} has {shown}, not amqp:// or amqps://. {advice}")
        try:
            port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise AddressError(f"{setting} has a port that is no number from 1 to 65535. {advice}")
        if not parts.hostname:
            raise AddressError(f"{setting} names no host. {advice}")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port,
            username=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            virtual_host=unquote(parts.path[1:]) or "/",
            query=parts.query,
        )

    @property
    def url(self) -> str:
        """The whole URL, password included: for connecting, not for showing."""
        return self._url(quote(self.password, safe=""))

    @property
    def masked(self) -> str:
        """The URL with `***` for the password."""
        return self._url("***")

    @property
    def parameters(self) -> pika.URLParameters:
        """The address as pika's connection parameters."""
        try:
            return pika.URLParameters(self.url)
        except (ValueError, TypeError, SyntaxError) as error:  # ssl_options are a Python literal
            raise AddressError(
                f"AMQP_URL has an option that pika does not take ({error}). "
                "Next: see pika's URLParameters, or leave out what follows the '?'"
            ) from error

    def _url(self, password: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{self.query}" if self.query else ""
        user = quote(self.username, safe="")
        virtual_host = quote(self.virtual_host, safe="")
        return f"{self.scheme}://{user}:{password}@{host}:{self.port}/{virtual_host}{query}"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a broker says of itself when a client connects.

    Attributes:
        version: version of RabbitMQ, for example `4.0.5`.
        cluster_name: the name that all nodes of its cluster share.
    """

    version: str
    cluster_name: str


@contextlib.contextmanager
def quiet_pika() -> Iterator[None]:
    """Keep pika from logging an attempt that fails: we turn it into one sentence."""
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


def greet(address: Address) -> Greeting:
    """Open a real connection to a broker, close it, and give what the broker said.

    Args:
        address: where the broker should be.

    Raises:
        BrokerUnavailableError: why it did not work, and what to do.
    """
    parameters = address.parameters
    parameters.connection_attempts = 1
    parameters.socket_timeout = SOCKET_TIMEOUT_S
    parameters.stack_timeout = HANDSHAKE_TIMEOUT_S
    parameters.blocked_connection_timeout = HANDSHAKE_TIMEOUT_S
    with quiet_pika():
        try:
            connection = pika.BlockingConnection(parameters)
        except Exception as error:
            raise BrokerUnavailableError(explain(error, address)) from error
        # BlockingConnection has no public name for the server's properties.
        said = connection._impl.server_properties
        with contextlib.suppress(amqp_errors.AMQPError):
            connection.close()
    return Greeting(version=_text(said.get("version")), cluster_name=_text(said.get("cluster_name")))


def explain(error: Exception, address: Address) -> str:
    """Turn an exception of a first connection into a sentence and the next step."""
    place = f"{address.host}:{address.port}"
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.AuthenticationError):
        return (
            f"The broker at {place} refuses user {address.username!r} with this password. "
            "Next: correct user and password in AMQP_URL"
        )
    if _is_about_virtual_host(error):
        return (
            f"The broker at {place} has no virtual host {address.virtual_host!r} for user "
            f"{address.username!r}. Next: correct the part behind the last '/' of AMQP_URL "
            "('%2F' is the default one), or create it with rabbitmqctl add_vhost"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"No TLS connection to {place} could be made ({error.reason or error}). Next: correct the scheme "
            "or the port in AMQP_URL, or its ssl_options"
        )
    if isinstance(error, socket.gaierror):
        return f"No host is called {address.host!r}. Next: correct the host in AMQP_URL"
    if isinstance(error, amqp_errors.IncompatibleProtocolError | amqp_errors.ProtocolSyntaxError):
        return f"What answers at {place} does not speak AMQP 0-9-1. Next: correct the port in AMQP_URL"
    return (
        f"No broker answers at {place} ({_reason(error)}). Next: start it or correct AMQP_URL; "
        "or unset AMQP_URL, and rmqlab starts a broker of its own"
    )


def innermost(error: BaseException) -> Exception:
    """Give the reason behind pika's wrappers of a connection that did not open."""
    while True:
        inner: Any = getattr(error, "exceptions", None) or (getattr(error, "exception", None), *error.args)
        nested = [each for each in inner if isinstance(each, BaseException)]
        if not nested:
            return error if isinstance(error, Exception) else Exception(str(error))
        error = nested[-1]


def is_refusal(error: Exception) -> bool:
    """Say whether the broker itself refused a connection, so that no other try will do better.

    A connection that breaks while it is being opened looks the same to pika, but for what it
    tells of the cause.
    """
    if isinstance(error, amqp_errors.ConnectionClosedByBroker):
        return error.reply_code in REFUSALS
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.ProbableAccessDeniedError):
        return any(f"ConnectionClosedByBroker: ({code})" in str(error.args) for code in REFUSALS)
    return isinstance(error, amqp_errors.AuthenticationError | ssl.SSLCertVerificationError)


def _is_about_virtual_host(error: Exception) -> bool:
    if isinstance(error, amqp_errors.ProbableAccessDeniedError):
        return True
    return isinstance(error, amqp_errors.ConnectionClosedByBroker) and error.reply_code in REFUSALS


def _reason(error: Exception) -> str:
    inner = innermost(error)
    words = f"{type(inner).__name__}: {inner}" if str(inner) else type(inner).__name__
    return words.partition("\n")[0][:REASON_LENGTH]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
