"""A broker that somebody else runs: kept to a corner of our own, and never stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from typing import ClassVar

import pika
from pika import exceptions as amqp_errors

from rmqlab import names
from rmqlab.broker._address import Address, greet, quiet_pika
from rmqlab.broker._management import Management
from rmqlab.broker._source import Check, Endpoint, Leftovers, token
from rmqlab.errors import BrokerError, BrokerUnavailableError, ManagementError, RmqlabError

logger = logging.getLogger("rmqlab.broker")

CONNECTION_ERRORS = (amqp_errors.AMQPError, OSError)
NOT_FOUND = 404  # AMQP's reply code
URL_SETTING = "AMQP_URL"
MANAGEMENT_SETTING = "RMQLAB_MANAGEMENT_URL"
MANAGEMENT_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}


class External:
    """The broker that `AMQP_URL` names.

    Where the user may, the lab makes a virtual host of its own and deletes that at the end.
    Elsewhere it uses the virtual host of the URL, refuses to start when a name that the
    lessons use is taken there, and deletes just these names.
    """

    name: ClassVar[str] = "external"

    def __init__(self) -> None:
        url = os.environ.get(URL_SETTING, "").strip()
        if not url:
            raise BrokerUnavailableError(
                f"{URL_SETTING} is not set. Next: set it to the URL of your broker, "
                "or set RMQLAB_BROKER=auto to let rmqlab start one"
            )
        self._given = Address.parse(url, setting=URL_SETTING)
        self._greeting = greet(self._given)
        self._management_url = self._find_management()
        self._virtual_host = f"rmqlab-{token()}" if self._is_administrator() else None
        if self._virtual_host is None:
            # Before anything else: from here on, `tidy` deletes these names.
            _refuse_taken_names(self._given)

    @classmethod
    def check(cls) -> Check:
        """Say whether `AMQP_URL` is set and its broker answers."""
        url = os.environ.get(URL_SETTING, "").strip()
        if not url:
            return Check(False, f"{URL_SETTING} is not set", f"set {URL_SETTING} to use a broker that runs")
        try:
            address = Address.parse(url, setting=URL_SETTING)
            greeting = greet(address)
            if management_url := os.environ.get(MANAGEMENT_SETTING, "").strip():
                with Management(management_url, address) as management:
                    management.cluster_name()
        except RmqlabError as error:
            reason, _, fix = str(error).partition(". Next: ")
            return Check(False, reason, fix)
        return Check(True, f"RabbitMQ {greeting.version} at {address.place}")

    def leftovers(self) -> Leftovers:
        """Give the virtual host, or else the names, to be deleted at the end."""
        return {
            "url": self._given.url,
            "management_url": self._management_url,
            "virtual_host": self._virtual_host,
            "shared": self._virtual_host is None,
        }

    def start(self) -> Endpoint:
        """Make our virtual host, where we may, and give the way to it."""
        address = self._given
        if self._virtual_host:
            address = dataclasses.replace(self._given, virtual_host=self._virtual_host)
            with Management(self._management_url or "", self._given) as management:
                management.create_virtual_host(self._virtual_host, user=self._given.username)
            greet(address)
        return Endpoint(address, self._management_url, self._greeting.version, bool(self._virtual_host))

    @staticmethod
    def tidy(leftovers: Leftovers) -> None:
        """Delete our virtual host, or else the names that the lessons use."""
        given = Address.parse(leftovers["url"], setting=URL_SETTING)
        try:
            if leftovers["virtual_host"]:
                with Management(leftovers["management_url"], given) as management:
                    management.delete_virtual_host(leftovers["virtual_host"])
            else:
                _delete_names(given)
        except (ManagementError, *CONNECTION_ERRORS) as error:
            what = f"virtual host {leftovers['virtual_host']}" if leftovers["virtual_host"] else "queues"
            logger.warning("could not delete the lab's %s on %s: %s", what, given.masked, error)

    def _find_management(self) -> str | None:
        """Give the URL of this broker's management API, if it has one that we can use."""
        told = os.environ.get(MANAGEMENT_SETTING, "").strip()
        scheme, port = MANAGEMENT_PORTS[self._given.scheme]
        url = told or f"{scheme}://{self._given.host_in_url}:{port}"
        try:
            with Management(url, self._given) as management:
                cluster_name = management.cluster_name()
        except ManagementError as error:
            if told:
                raise
            logger.info("%s", error)
            return None
        # A guessed port may be that of another broker on the same host.
        return url if cluster_name == self._greeting.cluster_name else None

    def _is_administrator(self) -> bool:
        if self._management_url is None:
            return False
        with Management(self._management_url, self._given) as management:
            return "administrator" in management.tags()


class NameTakenError(BrokerError):
    """A name that the lessons use is taken in a virtual host that is not ours."""


def _refuse_taken_names(address: Address) -> None:
    with quiet_pika(), contextlib.closing(pika.BlockingConnection(address.parameters)) as connection:
        for name in names.QUEUES:
            if _exists(connection, name):
                raise NameTakenError(
                    f"The virtual host {address.virtual_host!r} already has a queue {name!r}, and "
                    "it may be in use. Next: give the lab an empty virtual host in AMQP_URL, or a user "
                    "with the tag 'administrator' and the management plugin, so that it makes one"
                )


def _exists(connection: pika.BlockingConnection, queue: str) -> bool:
    try:
        with connection.channel() as channel:
            channel.queue_declare(queue, passive=True)
    except amqp_errors.ChannelClosedByBroker as error:
        return bool(error.reply_code != NOT_FOUND)
    return True


def _delete_names(address: Address) -> None:
    with quiet_pika(), contextlib.closing(pika.BlockingConnection(address.parameters)) as connection:
        for queue in names.QUEUES:
            with contextlib.suppress(amqp_errors.ChannelClosedByBroker), connection.channel() as channel:
                channel.queue_delete(queue)
        for exchange in names.EXCHANGES:
            with contextlib.suppress(amqp_errors.ChannelClosedByBroker), connection.channel() as channel:
                channel.exchange_delete(exchange)
