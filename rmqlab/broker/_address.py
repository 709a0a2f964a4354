"""Where a broker is: AMQP URLs, read with clear errors and shown without their password."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

import pika

from rmqlab.errors import AddressError

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
EXAMPLE = "amqp://user:password@localhost:5672/vhost"

PREFIX = "_set_url_"
KNOWN = sorted(name.removeprefix(PREFIX) for name in dir(pika.URLParameters) if name.startswith(PREFIX))
ENCRYPTED = b"ENCRYPTED"
# Python 3.11's `ast.literal_eval`, which pika calls, now and then raises SystemError in several threads.
_PARSING = threading.Lock()


def capitalized(text: str) -> str:
    """Return a text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def split_url(url: str, *, setting: str, schemes: Iterable[str], example: str) -> SplitResult:
    """Split a URL whose scheme, host and port can be right; an AddressError shows no more than the scheme."""
    try:
        parts = urlsplit(url.strip())
        complaint = _complaint(url.strip(), parts, schemes)
    except ValueError:  # brackets that hold no IPv6 address, or a name with an empty part
        complaint = "has a host that cannot be read"
    if complaint:
        raise AddressError(f"{capitalized(setting)} {complaint}. Next: set it to a URL such as {example}")
    return parts


def _complaint(url: str, parts: SplitResult, schemes: Iterable[str]) -> str:
    if parts.scheme not in schemes:
        shown = f"{parts.scheme}://" if re.fullmatch("[a-z]+", parts.scheme) and "://" in url else "no scheme"
        return f"has {shown}, not {' or '.join(f'{scheme}://' for scheme in schemes)}"
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
    """The parts of an AMQP URL; its repr shows neither the password nor the options, which may hold one."""

    scheme: str  # amqp or amqps
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"  # decoded: `/` and not `%2F`
    query: str = field(default="", repr=False)  # options of pika's URLParameters, as in the URL
    # What the URL was given as, for errors, such as `AMQP_URL`; empty for a broker started here.
    setting: str = field(default="", repr=False, compare=False)

    @classmethod
    def parse(cls, url: str, *, setting: str = "the URL") -> Address:
        """Read an AMQP URL as https://www.rabbitmq.com/docs/uri-spec defines it; raises AddressError."""
        # But for one thing: `amqp://host/` is the virtual host `/`, as in pika, and not one with an
        # empty name. A reader hands the same URL to pika and to us.
        parts = split_url(url, setting=setting, schemes=DEFAULT_PORTS, example=EXAMPLE)
        complaint = ""
        if parts.password is None and parts.username is not None:
            complaint = "a user and no password. Next: write user:password@, or user:@ for an empty password"
        elif "/" in parts.path[1:]:
            complaint = "more than one '/' behind its host. Next: write %2F for one in a virtual host's name"
        try:
            username, password, virtual_host = (
                unquote(default if part is None else part, errors="strict")
                for part, default in (
                    (parts.username, "guest"),
                    (parts.password, "guest"),
                    (parts.path[1:] or None, "/"),
                )
            )
        except UnicodeDecodeError:
            complaint = f"a percent-encoding that is not UTF-8. Next: encode each part as in {EXAMPLE}"
        if complaint:
            raise AddressError(f"{capitalized(setting)} has {complaint}")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            username=username,
            password=password,
            virtual_host=virtual_host,
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
        """The address as pika's connection parameters; raises AddressError, which names a wrong option."""
        with _PARSING:
            if problem := _find_problem(self.scheme, self.query):
                raise AddressError(f"{capitalized(self.setting or 'the URL')} has {problem}")
            return pika.URLParameters(self.url)

    def parameters_for(self, name: str, **defaults: float) -> pika.URLParameters:
        """Return the parameters of a connection with a name; the URL's own options go before `defaults`."""
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


# pika's own errors show the value of an option, which may be a secret, or are the file system's.
def _find_problem(scheme: str, query: str) -> str:
    """Return what is wrong with the options of a URL, and the next step; empty if nothing is.

    Source: https://pika.readthedocs.io/en/stable/modules/parameters.html
    """
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if name not in KNOWN:  # it may be a piece of a secret
            shown = f"the option {name}" if re.fullmatch("[a-z_]+", name) else "an option"
            return f"{shown}, which pika does not take. Next: use one of {', '.join(KNOWN)}"
        if name == "ssl_options" and _asks_for_password(values[0]):
            return (
                "ssl_options with an encrypted key and no password. Next: give its password, or another key"
            )
        try:
            pika.URLParameters(f"{scheme}://localhost/?{urlencode({name: values}, doseq=True)}")
        except Exception as error:  # pika lets through what its checks, Python's parser and OpenSSL raise
            # OpenSSL's, as `NO_CERTIFICATE_OR_CRL_FOUND`, or the file system's.
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
            why = f" ({reason})" if reason else ""
            return f"the option {name} that pika cannot use{why}. Next: correct it, or leave it out"
    return ""


def _asks_for_password(ssl_options: str) -> bool:
    """Return True if OpenSSL would ask for the password of a key on the terminal, and wait."""
    try:
        options = ast.literal_eval(ssl_options)
        key = Path(options.get("keyfile") or options["certfile"])
        return "password" not in options and ENCRYPTED in key.read_bytes()
    except Exception:  # what is wrong with them, pika says
        return False
