"""A running RabbitMQ, wherever it comes from."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import socket
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlencode

import pika

from rmqlab.broker._address import Address
from rmqlab.broker._claims import Claims
from rmqlab.broker._external import URL_SETTING, External
from rmqlab.broker._look import Look, connections_frame, consumers_frame, look_at
from rmqlab.broker._management import MANAGEMENT_SETTING
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import OWN_SETTING, OWN_SOURCES, Endpoint, Source, source_class
from rmqlab.errors import AddressError, BrokerEndedError, BrokerError
from rmqlab.interrupts import wait_until

if TYPE_CHECKING:
    import pandas as pd

# Options of pika's URLParameters: no heartbeats, and a look by the system after a minute of silence.
NO_HEARTBEATS = {"heartbeat": "0"}
KEEPALIVE = {"tcp_options": "{'TCP_KEEPIDLE': 60, 'TCP_KEEPINTVL': 20, 'TCP_KEEPCNT': 3}"}

logger = logging.getLogger("rmqlab.broker")


class Broker:
    """A RabbitMQ broker for the lessons.

    Use it as a context manager, or call `start` and `stop`, as `with` cannot span the cells
    of a notebook. It stops when the interpreter exits, and soon after its process is killed.
    One that was started here is an `OwnBroker`.

    Args:
        source: where the broker comes from: `external`, `container` or `node`.
    """

    def __init__(self, source: str) -> None:
        self._source_name = source
        self._source: Source | None = None
        self._reaper: Reaper | None = None
        self._endpoint: Endpoint | None = None
        self._owner = os.getpid()

    def __repr__(self) -> str:
        state = f"RabbitMQ {self._endpoint.version}" if self._endpoint else "stopped"
        if self.shared_virtual_host:
            state += f", shared virtual host {self.shared_virtual_host!r}"
        return f"<{type(self).__name__} {self._source_name}, {state}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the broker, or reach it, and return it once it takes connections. Safe to call twice.

        Raises:
            BrokerUnavailableError: why there is no broker, and what would help.
            AddressError: `AMQP_URL` is not an AMQP URL.
        """
        if self._endpoint:
            return self
        try:
            self._start()
        except BrokerEndedError as error:
            # Somebody may have taken a port between our choice and the broker's start.
            logger.info("%s; trying once more", error)
            self._start()
        return self

    def _start(self) -> None:
        self._owner = os.getpid()
        self._source = source_class(self._source_name)()
        atexit.register(self.stop)
        try:
            self._reaper = Reaper(self._source_name, self._source.resources())
            endpoint = self._source.start()
            if claims := self._claims:
                claims.start(self._reaper.note)
            self._endpoint = endpoint
        except BaseException:  # an interrupt as well: it must leave nothing running
            with contextlib.suppress(Exception):
                self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker and remove what it left; of an external one, remove what we made.

        Safe to call twice. A process that was forked from the broker's owner stops nothing.
        """
        if os.getpid() != self._owner or self._source is None:
            return
        cleaned = False
        try:
            self._clean_up(self._source)
            cleaned = True
        finally:
            self._source, self._endpoint = None, None
            if self._reaper:
                # Where cleaning was interrupted, or failed, it is the reaper's to do.
                (self._reaper.stop if cleaned else self._reaper.take_over)()
                self._reaper = None
            atexit.unregister(self.stop)

    def _clean_up(self, source: Source) -> None:
        if claims := self._claims:
            claims.stop()
        source.cleanup(source.resources())

    @property
    def source(self) -> str:
        """Where the broker comes from: `external`, `container` or `node`."""
        return self._source_name

    @property
    def shared_virtual_host(self) -> str | None:
        """The virtual host, where others use it as well; None where the lab has one to itself.

        There the lab deletes what this process made, and nothing else.
        """
        return self._endpoint.address.virtual_host if self._endpoint and self._claims else None

    @property
    def url(self) -> str:
        """The AMQP URL, with user and password: for connecting, not for showing."""
        return self._running.address.url

    @property
    def address(self) -> Address:
        """The AMQP URL, with options for connections whose reader may pause for an hour.

        They ask for no heartbeats, unless the URL does: pika answers those only while its loop
        runs, so that a pause would count as death. If a host or a network dies, the system's
        keepalive notices, where pika can set it: on Linux and Windows.

        Source: https://www.rabbitmq.com/docs/heartbeats#tcp-keepalives
        """
        address = self._running.address
        given = dict(parse_qsl(address.query))
        # On macOS pika sets none of these, and warns of each at every connection.
        keepalive = KEEPALIVE if hasattr(socket, "TCP_KEEPIDLE") else {}
        return dataclasses.replace(address, query=urlencode(NO_HEARTBEATS | keepalive | given))

    @property
    def parameters(self) -> pika.URLParameters:
        """What to connect with in pika, new at each call; without heartbeats, as a reader may pause."""
        return self.address.parameters

    @property
    def version(self) -> str:
        """The version of RabbitMQ, such as `4.0.5`."""
        return self._running.version

    @property
    def management_url(self) -> str | None:
        """Where the management API and its pages are, without credentials; None if nowhere."""
        return self._running.management_url

    def environment(self) -> dict[str, str]:
        """Return the variables with which another process uses this very broker.

        Its `start_broker(own=True)` takes the source that this broker is from.
        """
        variables = {"RMQLAB_BROKER": "external", URL_SETTING: self.url}
        if self.management_url:
            variables[MANAGEMENT_SETTING] = self.management_url
        # What this process can start, so can that one.
        own = self._source_name if self._source_name in OWN_SOURCES else os.environ.get(OWN_SETTING, "")
        if own:
            variables[OWN_SETTING] = own
        return variables

    def queues(self) -> pd.DataFrame:
        """Show the queues that the lab can see; of a shared virtual host, those that it made.

        Returns:
            One row a queue, by name: name, type, durable, exclusive, ready (messages that
            wait for a consumer), unacked (delivered, not yet acknowledged), consumers.
            `unacked` is about a second old with a broker that rmqlab started, and five seconds
            with others. Without the management API, it, type, durable and exclusive are empty.
        """
        with self.look() as look:
            return look.frame()

    def connections(self) -> pd.DataFrame:
        """Show the connections to the lab's virtual host, from the management API.

        Returns:
            One row a connection: client (its name, or its product), user, state, channels,
            heartbeat_s. A new one appears, and a closed one goes, within five seconds.

        Raises:
            ManagementError: this broker has no management API.
        """
        with self._running.management() as management:
            return connections_frame(management)

    def consumers(self) -> pd.DataFrame:
        """Show the consumers in the lab's virtual host, from the management API.

        Returns:
            One row a consumer: queue, consumer_tag, prefetch, ack_required, active.

        Raises:
            ManagementError: this broker has no management API.
        """
        with self._running.management() as management:
            return consumers_frame(management)

    def wait_for_queue(
        self, name: str, *, ready: int | None = None, consumers: int | None = None, timeout_s: float = 10
    ) -> pd.DataFrame:
        """Wait until a queue has so many ready messages or consumers.

        Args:
            name: name of the queue.
            ready: how many messages are to wait in it; None for any number.
            consumers: how many consumers it is to have; None for any number.
            timeout_s: give up after this many seconds.

        Returns:
            The queue's row of `queues`.

        Raises:
            BrokerError: it was not so within the time limit; names what was found.
        """
        depth: tuple[int, int] | None = None

        def is_so() -> bool:
            nonlocal depth
            depth = look.depths([name]).get(name)
            return depth is not None and ready in (None, depth[0]) and consumers in (None, depth[1])

        # Over one connection, as each that is opened takes the broker's time.
        with self.look() as look:
            if wait_until(is_so, timeout_s):
                return look.frame({name})
        found = f"has {depth[0]} ready messages and {depth[1]} consumers" if depth else "does not exist"
        wanted = {"ready": ready, "consumers": consumers}
        raise BrokerError(
            f"Queue {name!r} {found}, and not {wanted}, after {timeout_s:g} s. "
            "Next: see who publishes to it or consumes from it"
        )

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped, or not started yet."""
        return self._endpoint is None

    def look(self) -> AbstractContextManager[Look]:
        """Return a context manager: its target looks at this broker again and again over one connection."""
        return look_at(self._running, self._claims.queues if self._claims else None)

    @property
    def _claims(self) -> Claims | None:
        return self._source.claims if isinstance(self._source, External) else None

    @property
    def _running(self) -> Endpoint:
        if self._endpoint is None:
            raise BrokerError("This broker is stopped. Next: call its start(), or run the setup cell again")
        return self._endpoint


def address_of(broker: Broker | str, *, given_to: str) -> Address:
    """Return where a broker is that was given to something, such as "connect"; raises AddressError."""
    if isinstance(broker, Broker):
        return broker.address
    if isinstance(broker, str):
        return Address.parse(broker, setting=f"the URL given to {given_to}")
    raise AddressError(
        f"{given_to} was given {type(broker).__name__}, not a broker. "
        "Next: give it what start_broker returns, or an AMQP URL"
    )
