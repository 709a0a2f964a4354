"""What the three sources of a broker have in common."""

from __future__ import annotations

import contextlib
import secrets
import socket
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from rmqlab.broker._address import Address, ServerInfo
from rmqlab.errors import BrokerError, BrokerUnavailableError

# A lesson looks at a queue right after it did something to it. The broker's objects tell their
# statistics every five seconds, and the management plugin collects them as often, unless told
# otherwise; the plugin knows whole seconds only.
QUICK_STATISTICS = (
    "-rabbit collect_statistics_interval 500 -rabbitmq_management_agent sample_retention_policies "
    "[{global,[{605,1}]},{basic,[{605,1}]},{detailed,[{605,1}]}]"
)

# Below those that systems give to outgoing connections (from 32768 or 49152 on): a broker
# binds its ports seconds after they were chosen, and till then any program might be given one.
PORTS = range(20000, 32000)

# The sources whose brokers are ours to break, the better one first, and what chooses one.
OWN_SOURCES = ("container", "node")
OWN_SETTING = "RMQLAB_OWN_BROKER"

# What a source would leave behind: plain data, so that it can be handed to the reaper.
Resources = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a running broker is reached.

    Attributes:
        address: the AMQP address, with the virtual host to use.
        management_url: base URL of the management HTTP API, without credentials, or None
            where there is no such API.
        version: version of RabbitMQ.
        whole_virtual_host: whether all that is in the virtual host is ours.
    """

    address: Address
    management_url: str | None
    version: str
    whole_virtual_host: bool


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a source can be used.

    Attributes:
        usable: whether it can.
        detail: what was found, or why it cannot be used.
        fix: the next step that would make it usable; empty where it is.
    """

    usable: bool
    detail: str
    fix: str = ""

    def error(self) -> BrokerUnavailableError:
        """Return the error that says so."""
        return BrokerUnavailableError(f"{self.detail[:1].upper()}{self.detail[1:]}. Next: {self.fix}")


class Source(Protocol):
    """One way to get a broker.

    Its constructor raises `BrokerUnavailableError` where it cannot be used, and makes nothing.
    `resources` says, before anything is started, what there will be to clean away; `cleanup`
    cleans it away, as often as it is called, from this process or from the reaper.
    """

    name: ClassVar[str]

    @classmethod
    def check(cls) -> Check:
        """Return whether this source can be used, quickly and without starting anything."""
        ...

    def resources(self) -> Resources:
        """Return what `cleanup` needs to know; nothing has been started yet."""
        ...

    def start(self) -> Endpoint:
        """Start or reach the broker and wait until it takes connections."""
        ...

    @staticmethod
    def cleanup(resources: Resources) -> None:
        """Clean away what `start` made. Safe to call twice, and when nothing was made."""
        ...


@runtime_checkable
class Server(Source, Protocol):
    """A source whose server is ours to break.

    None of these does harm where there is nothing to do: a server that is gone already, or
    not frozen.
    """

    def terminate(self) -> None:
        """Ask the server to end in good order; does not wait."""
        ...

    def kill(self) -> None:
        """Kill the server, as `kill -9` does; does not wait."""
        ...

    def is_running(self) -> bool:
        """Return whether there is a process of the server, frozen or not."""
        ...

    def run(self) -> ServerInfo:
        """Start the server, with the data and the ports it had, and wait as `wait_until_ready`.

        Raises:
            BrokerEndedError: it ended as it started.
            BrokerUnavailableError: it took no connection within its time limit.
        """
        ...

    def wait_until_ready(self) -> ServerInfo:
        """Wait until the server takes connections; raises what `run` raises."""
        ...

    def freeze(self) -> None:
        """Let the server's processes stand still."""
        ...

    def thaw(self) -> None:
        """Let the server's processes go on."""
        ...

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl and give what it prints.

        Raises:
            BrokerError: it failed; says why.
        """
        ...


def control_failed(arguments: tuple[str, ...], reason: str) -> BrokerError:
    """Return the error of a command of rabbitmqctl that failed."""
    lines = reason.strip().splitlines() or ["it says nothing"]
    return BrokerError(
        f"rabbitmqctl {arguments[0]} failed ({lines[-1][:200]}). "
        "Next: see that the broker runs, and is not frozen"
    )


def token() -> str:
    """Return a short random name part, so that labs side by side do not meet."""
    return secrets.token_hex(4)


def free_ports(count: int) -> list[int]:
    """Return different TCP ports on loopback that nobody listens on now."""
    free: list[int] = []
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            break
    return free
