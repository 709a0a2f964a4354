"""Which broker to use: the one that is named, or the first that can be had."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, overload

from rmqlab.broker._broker import Broker
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._own_broker import OwnBroker
from rmqlab.broker._source import OWN_SETTING, OWN_SOURCES, SOURCES, read_setting, source_class
from rmqlab.errors import AddressError, BrokerUnavailableError, FaultError, RmqlabError

SETTING = "RMQLAB_BROKER"

logger = logging.getLogger("rmqlab.broker")


def chosen_source(source: str | None = None) -> str:
    """Return the source to use, or `auto`; raises AddressError if there is no such source."""
    return _checked(source or read_setting(SETTING) or "auto", SETTING, ("auto", *SOURCES))


def _checked(choice: str, setting: str, known: tuple[str, ...]) -> str:
    if choice not in known:
        raise AddressError(
            f"{setting} is {choice!r}, which is no source of a broker here. "
            f"Next: set it to one of {', '.join(known)}"
        )
    return choice


def sources_to_try(source: str | None = None) -> tuple[str, ...]:
    """Return the sources of a broker, the one to try first at first."""
    choice = chosen_source(source)
    if choice != "auto":
        return (choice,)
    # Who names a broker wants that one, and not another when it does not answer.
    return ("external",) if read_setting(URL_SETTING) else tuple(SOURCES)


def own_sources(source: str | None = None) -> tuple[str, ...]:
    """Return the sources of a broker that may be broken, the one to try first at first."""
    if source == "external":
        raise FaultError(
            "The broker of AMQP_URL is somebody else's, and not to be broken. Next: leave out the source"
        )
    if not source and (setting := read_setting(OWN_SETTING)):  # which a lab gives to its kernels
        source = _checked(setting, OWN_SETTING, OWN_SOURCES)
    choice = chosen_source(source)
    return OWN_SOURCES if choice in ("auto", "external") else (choice,)


@overload
def start_broker(source: Literal["container", "node"], *, own: bool = False) -> OwnBroker: ...
@overload
def start_broker(source: str | None = None, *, own: Literal[True]) -> OwnBroker: ...
@overload
def start_broker(source: str | None = None, *, own: bool = False) -> Broker: ...
def start_broker(source: str | None = None, *, own: bool = False) -> Broker:
    """Start a RabbitMQ broker, or reach one, and wait until it takes connections.

    Args:
        source: `external` (the broker of `AMQP_URL`), `container` (an engine with Docker's
            API, image `RMQLAB_IMAGE`), `node` (a private node of an installed RabbitMQ), or
            `auto`: the first of these that can be had. If None, `RMQLAB_BROKER`, or else `auto`.
        own: whether it must be one that may be broken, and so started here: from the source in
            `RMQLAB_OWN_BROKER`, or else a container, or else a node.

    Returns:
        A running broker: an `OwnBroker` if it was started here. Stop it with its `stop()`, or use
        it in a `with` statement.

    Raises:
        AddressError: `AMQP_URL`, `RMQLAB_BROKER` or `RMQLAB_OWN_BROKER` cannot be right.
        FaultError: `own` is True and the source is `external`.
        BrokerUnavailableError: each source tried, why it failed, and what would help.
    """
    sources = own_sources(source) if own else sources_to_try(source)
    failures = []
    for name in sources:
        try:
            return (OwnBroker if name in OWN_SOURCES else Broker)(name).start()
        except BrokerUnavailableError as error:
            if len(sources) == 1:  # it says itself why not
                raise
            logger.debug("no broker from source %s: %s", name, error)
            # Where all are tried, nobody asked for an external one, to whom its next step speaks.
            failures.append(f"{name}: {error.problem if name == 'external' else error}")
    tried = "".join(f"\n  - {failure}" for failure in failures)
    raise BrokerUnavailableError(f"No broker could be had. Tried, in this order:{tried}")


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a source can be used: what was found, or why it cannot and the next step."""

    usable: bool
    detail: str
    fix: str = ""


def check_sources() -> dict[str, Check]:
    """Check of each source whether it can be used, and why not; nothing is started."""
    checks = {}
    for name in SOURCES:
        try:
            checks[name] = Check(True, source_class(name)().detail)
        except RmqlabError as error:
            checks[name] = Check(False, error.problem, error.next_step)
    return checks
