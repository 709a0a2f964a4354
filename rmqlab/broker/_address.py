"""Where a broker is: AMQP URLs, read with clear errors and shown without their password."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import pika
from pika import exceptions as amqp_errors

from rmqlab.broker import _tls
from rmqlab.broker._options import find_problem
from rmqlab.errors import AddressError, BrokerUnavailableError

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
EXAMPLE = "amqp://user:password@localhost:5672/vhost"

# Every connection of ours gives up after these, in seconds.
SOCKET_TIMEOUT_S = 5
HANDSHAKE_TIMEOUT_S = 10
TIMEOUTS = {"socket_timeout": SOCKET_TIMEOUT_S, "stack_timeout": HANDSHAKE_TIMEOUT_S}
REASON_LENGTH = 100

# With these codes a broker says that it will not let us in: access-refused and not-allowed.
REFUSALS = (403, 530)

_quiet_lock = threading.Lock()
_quiet_levels: list[int] = []


def capitalized(text: str) -> str:
    """Return a text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def without_user(url: str) -> str:
    """Return a URL of any kind with `***` for user and password, for showing."""
    return re.sub("//.*@", "//***@", url)


def split_url(url: str, *, setting: str, ports: Mapping[str, int], example: str) -> SplitResult:
    """Split a URL whose scheme, host and port can be right. No error shows a part of it but the scheme.

    Args:
        url: the URL.
        setting: what the URL was given as, for the error.
        ports: the schemes it may have, each with its default port.
        example: a URL of this kind.

    Raises:
        AddressError: one of these parts is missing, or cannot be right.
    """
    try:
        parts = urlsplit(url.strip())
        complaint = _complaint(url.strip(), parts, ports)
    except ValueError:  # brackets that hold no IPv6 address, or a name with an empty part
        complaint = "has a host that cannot be read"
    if complaint:
        raise AddressError(f"{capitalized(setting)} {complaint}. Next: set it to a URL such as {example}")
    return parts


def _complaint(url: str, parts: SplitResult, ports: Mapping[str, int]) -> str:
    if parts.scheme not in ports:
        shown = f"{parts.scheme}://" if re.fullmatch("[a-z]+", parts.scheme) and "://" in url else "no scheme"
        return f"has {shown}, not {' or '.join(f'{scheme}://' for scheme in ports)}"
    if re.search(r"[\x00-\x20\x7f]", url.partition("?")[0]):
        return "has a space or a line break in it"
    if "@" not in parts.netloc and "@" in url:
        return "has a '/', '?' or '#' before its '@', which are %2F, %3F and %23 in a password"
    if parts.fragment:
        return "has a '#', which is %23 in a URL"
    if not parts.hostname:
        return "names no host"
    parts.hostname.encode("idna")
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    return "" if is_port else "has a port that is no number from 1 to 65535"


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
        query: options of pika's URLParameters, as they stood in the URL; not shown in the repr,
            as they may hold the password of a key.
        setting: what the URL was given as, for errors: `AMQP_URL`, or "the URL given to connect";
            empty for a broker that was started here.
    """

    scheme: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    query: str = field(default="", repr=False)
    setting: str = field(default="", repr=False, compare=False)

    @classmethod
    def parse(cls, url: str, *, setting: str = "the URL") -> Address:
        """Read an AMQP URL, as RabbitMQ's URI specification defines it.

        It differs in one thing: `amqp://host/` is the virtual host `/`, as in pika, and not one
        with an empty name. A reader hands the same URL to pika and to us.

        Args:
            url: the URL.
            setting: what the URL was given as, for the error.

        Raises:
            AddressError: a part of it is missing, or cannot be right.

        Source: https://www.rabbitmq.com/docs/uri-spec
        """
        parts = split_url(url, setting=setting, ports=DEFAULT_PORTS, example=EXAMPLE)
        if parts.password is None and parts.username is not None:
            raise AddressError(
                f"{capitalized(setting)} has a user and no password. "
                "Next: write user:password@ before the host, or user:@ for an empty password"
            )
        if "/" in parts.path[1:]:
            raise AddressError(
                f"{capitalized(setting)} has more than one '/' behind its host. "
                "Next: write %2F for a '/' in the name of the virtual host"
            )
        try:
            username, password, virtual_host = (
                unquote(part, errors="strict")
                for part in (parts.username or "", parts.password or "", parts.path[1:])
            )
        except UnicodeDecodeError:
            raise AddressError(
                f"{capitalized(setting)} has a percent-encoding that is not UTF-8. "
                f"Next: encode user, password and virtual host as in {EXAMPLE}"
            ) from None
        is_anonymous = parts.username is None
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            username="guest" if is_anonymous else username,
            password="guest" if is_anonymous else password,
            virtual_host=virtual_host or "/",
            query=parts.query,
            setting=setting,
        )

    @property
    def url(self) -> str:
        """The whole URL, password included: for connecting, not for showing."""
        query = f"?{self.query}" if self.query else ""
        return self._url(quote(self.password, safe="")) + query

    @property
    def masked(self) -> str:
        """The URL with `***` for the password and for the options."""
        return self._url("***") + ("?***" if self.query else "")

    @property
    def host_in_url(self) -> str:
        """The host as URLs have it: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def place(self) -> str:
        """Host and port, for showing."""
        return f"{self.host_in_url}:{self.port}"

    @property
    def parameters(self) -> pika.URLParameters:
        """The address as pika's connection parameters.

        Raises:
            AddressError: an option of the URL cannot be right; names the option.
        """
        parameters = None
        problem = find_problem(self.scheme, self.query)
        if not problem:
            try:
                parameters = pika.URLParameters(self.url)
            except (ValueError, TypeError) as error:  # raised below: its text may hold a secret
                problem = f"options that do not fit together ({type(error).__name__}). Next: leave out one"
        if parameters is None:
            raise AddressError(f"{capitalized(self.setting or 'the URL')} has {problem}")
        return parameters

    def parameters_for(self, name: str, **defaults: float) -> pika.URLParameters:
        """Return the parameters of a connection with a name.

        Args:
            name: the connection's name, as the broker's management pages show it.
            defaults: options of pika's parameters. Those that the URL has stay as they are there.

        Raises:
            AddressError: an option of the URL cannot be right.
        """
        parameters = self.parameters
        given = parse_qs(self.query)
        for option, value in defaults.items():
            if option not in given:
                setattr(parameters, option, value)
        parameters.client_properties = {"connection_name": name} | (parameters.client_properties or {})
        return parameters

    def _url(self, password: str) -> str:
        user = quote(self.username, safe="")
        virtual_host = quote(self.virtual_host, safe="")
        return f"{self.scheme}://{user}:{password}@{self.host_in_url}:{self.port}/{virtual_host}"


@dataclass(frozen=True, slots=True)
class ServerInfo:
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


def probe(address: Address) -> ServerInfo:
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
    return ServerInfo(version=_text(said.get("version")), cluster_name=_text(said.get("cluster_name")))


def explain(error: Exception, address: Address) -> str:
    """Turn an exception of a first connection into a sentence and the next step."""
    place, setting = address.place, address.setting or "its URL"
    tls_error = _tls.find_error(error)
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.AuthenticationError):
        return (
            f"The broker at {place} refuses user {address.username!r} with this password. "
            f"Next: correct user and password in {setting}"
        )
    if _is_about_virtual_host(error):
        return (
            f"The broker at {place} has no virtual host {address.virtual_host!r} for user "
            f"{address.username!r}. Next: correct the part behind the last '/' of {setting} "
            "('%2F' is the default one), or create it with rabbitmqctl add_vhost"
        )
    if tls_error:
        return _tls.explain(tls_error, f"the broker at {place}", setting=setting)
    if isinstance(error, amqp_errors.IncompatibleProtocolError | amqp_errors.ProtocolSyntaxError):
        return (
            f"What answers at {place} does not speak AMQP 0-9-1 with {address.scheme}://. "
            f"Next: correct the scheme or the port in {setting}"
        )
    return _explain_silence(error, address)


def _explain_silence(error: Exception, address: Address) -> str:
    if isinstance(error, socket.gaierror):
        return f"No host is called {address.host!r}. Next: correct the host in {address.setting}"
    next_step = f"start it or correct {address.setting}"
    if not address.setting:
        next_step = "see that it runs, and start it again"
    elif address.setting == "AMQP_URL":
        next_step += "; or unset AMQP_URL, and rmqlab starts a broker of its own"
    return f"No broker answers at {address.place} ({_reason(error)}). Next: {next_step}"


def innermost(error: BaseException) -> Exception:
    """Return the reason behind pika's wrappers of a connection that did not open."""
    while True:
        inner: Any = getattr(error, "exceptions", None) or (getattr(error, "exception", None), *error.args)
        nested = [each for each in inner if isinstance(each, BaseException)]
        if not nested:
            return error if isinstance(error, Exception) else Exception(str(error))
        error = nested[-1]


def is_refusal(error: Exception) -> bool:
    """Return whether the broker itself refused a connection, so that no other try will do better.

    A connection that breaks while it is being opened looks the same to pika, but for what it
    tells of the cause.
    """
    if isinstance(error, amqp_errors.ConnectionClosedByBroker):
        return error.reply_code in REFUSALS
    if isinstance(error, amqp_errors.ProbableAuthenticationError | amqp_errors.ProbableAccessDeniedError):
        return any(f"ConnectionClosedByBroker: ({code})" in str(error.args) for code in REFUSALS)
    tls_error = _tls.find_error(error)
    return isinstance(error, amqp_errors.AuthenticationError) or bool(
        tls_error and _tls.is_refusal(tls_error)
    )


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
