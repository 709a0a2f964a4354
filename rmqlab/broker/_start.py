"""Which broker to use: the one that is named, or the first that can be had."""

from __future__ import annotations

import logging
import os

from rmqlab.broker._broker import Broker
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._guardian import source_class
from rmqlab.broker._source import Check
from rmqlab.errors import AddressError, BrokerUnavailableError

SETTING = "RMQLAB_BROKER"
SOURCES = ("external", "container", "node")

logger = logging.getLogger("rmqlab.broker")


def chosen_source(source: str | None = None) -> str:
    """Give the source to use: `auto`, `external`, `container` or `node`.

    Args:
        source: the caller's choice; None leaves it to `RMQLAB_BROKER`, then to `auto`.

    Raises:
        AddressError: there is no such source.
    """
    choice = source or os.environ.get(SETTING, "").strip() or "auto"
    if choice not in ("auto", *SOURCES):
        known = ", ".join(("auto", *SOURCES))
        raise AddressError(
            f"{SETTING} is {choice!r}, which is no source of a broker. Next: set it to one of {known}"
        )
    return choice


def start_broker(source: str | None = None) -> Broker:
    """Start a RabbitMQ broker, or reach one, and wait until it takes connections.

    Args:
        source: `external` (the broker of `AMQP_URL`), `container` (an engine with Docker's
            API, image `RMQLAB_IMAGE`), `node` (a private node of an installed RabbitMQ), or
            `auto`: the first of these that can be had. None takes `RMQLAB_BROKER`, or else
            `auto`.

    Returns:
        A running broker. Stop it with its `stop()`, or use it in a `with` statement.

    Raises:
        AddressError: `AMQP_URL` or `RMQLAB_BROKER` cannot be right.
        BrokerUnavailableError: each source tried, why it failed, and what would help.
    """
    choice = chosen_source(source)
    if choice != "auto":
        return Broker(choice).start()
    # Who names a broker wants that one, and not another when it does not answer.
    if os.environ.get(URL_SETTING, "").strip():
        return Broker("external").start()
    failures = [f"external: {URL_SETTING} is not set"]
    for name in SOURCES[1:]:
        try:
            return Broker(name).start()
        except BrokerUnavailableError as error:
            logger.debug("no broker from source %s: %s", name, error)
            failures.append(f"{name}: {error}")
    tried = "".join(f"\n  - {failure}" for failure in failures)
    raise BrokerUnavailableError(f"No broker could be had. Tried, in this order:{tried}")


def check_sources() -> dict[str, Check]:
    """Say of each source whether it can be used, and why; nothing is started."""
    return {name: source_class(name).check() for name in SOURCES}
