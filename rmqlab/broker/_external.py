"""A broker that somebody else runs: kept to a corner of our own, and never stopped."""

from __future__ import annotations

import dataclasses
import logging
import secrets

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from rmqlab import names
from rmqlab.broker._address import Address
from rmqlab.broker._claims import Claim, Claims, clean_up
from rmqlab.broker._connection import ServerInfo, probe
from rmqlab.broker._management import MANAGEMENT_SETTING, Management
from rmqlab.broker._source import Endpoint, Resources, Source, read_setting
from rmqlab.errors import BrokerError, BrokerUnavailableError, ManagementError, NameTakenError

logger = logging.getLogger("rmqlab.broker")

URL_SETTING = "AMQP_URL"
MANAGEMENT_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}
# A lab that was killed a moment ago is still being cleaned up after.
TAKEN_TIMEOUT_S = 3
LOOK_AGAIN_S = 0.2
LESSON_NAMES: tuple[Claim, ...] = (
    *(("queue", name) for name in names.QUEUES),
    *(("exchange", name) for name in names.EXCHANGES),
)


class External(Source):
    """The broker that `AMQP_URL` names.

    Where the user may, the lab makes a virtual host of its own and deletes that at the end.
    Elsewhere it uses the virtual host of the URL, refuses to start when a queue or an exchange
    has a name there that the lessons use, and deletes just what this very run made.
    """

    def __init__(self) -> None:
        url = read_setting(URL_SETTING)
        if not url:
            raise BrokerUnavailableError(
                f"{URL_SETTING} is not set. Next: set {URL_SETTING} to the URL of a broker that runs, "
                "or RMQLAB_BROKER=auto to let rmqlab start one"
            )
        self._given = Address.parse(url, setting=URL_SETTING)
        self._server_info = probe(self._given)
        self.detail = f"RabbitMQ {self._server_info.version} at {self._given.place}"
        self._management_url = find_management(self._given, self._server_info)
        self._virtual_host = None
        self.claims: Claims | None = None  # what this run made in a virtual host that is not its own
        if self._management_url:
            with Management(self._management_url, self._given) as management:
                if management.may_create_virtual_hosts():
                    self._virtual_host = f"rmqlab-{secrets.token_hex(4)}"
                    return
        self.claims = Claims(self._given, self._server_info.cluster_name)
        retrying = Retrying(
            stop=stop_after_delay(TAKEN_TIMEOUT_S),
            wait=wait_fixed(LOOK_AGAIN_S),
            retry=retry_if_exception_type(NameTakenError),
            reraise=True,
        )
        retrying(self.claims.refuse_taken, *LESSON_NAMES)

    def resources(self) -> Resources:
        return {
            "url": self._given.url,
            "management_url": self._management_url,
            "virtual_host": self._virtual_host,
            "shared": self._virtual_host is None,
            "claims": self.claims.made() if self.claims else [],
        }

    def start(self) -> Endpoint:
        address = self._given
        if self._virtual_host:
            address = dataclasses.replace(self._given, virtual_host=self._virtual_host)
            with Management(self._management_url or "", self._given) as management:
                management.create_virtual_host(self._virtual_host)
            probe(address)
        return Endpoint(address, self._management_url, self._server_info.version)

    @staticmethod
    def cleanup(resources: Resources) -> None:
        given, virtual_host = Address.parse(resources["url"], setting=URL_SETTING), resources["virtual_host"]
        try:
            if virtual_host:
                with Management(resources["management_url"], given) as management:
                    management.delete_virtual_host(virtual_host)
            elif resources["claims"]:
                clean_up(given, resources["claims"])
        except BrokerError as error:
            what = f"virtual host {virtual_host}" if virtual_host else "queues and exchanges"
            logger.warning("could not delete the lab's %s on %s: %s", what, given.masked, error)


def find_management(given: Address, server_info: ServerInfo) -> str | None:
    """Return the URL of a broker's management API, if it has one that we can use."""
    setting = read_setting(MANAGEMENT_SETTING)
    scheme, port = MANAGEMENT_PORTS[given.scheme]
    url = setting or f"{scheme}://{given.host_in_url}:{port}"
    try:
        with Management(url, given) as management:
            cluster_name = management.cluster_name()
    except ManagementError as error:
        if setting:
            raise
        logger.info("%s", error)
        return None
    # A guessed port may be that of another broker on the same host.
    return url if cluster_name == server_info.cluster_name else None
