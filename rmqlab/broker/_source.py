"""What the three sources of a broker have in common."""

from __future__ import annotations

import abc
import contextlib
import importlib
import os
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

from rmqlab.broker._address import Address
from rmqlab.broker._connection import ServerInfo, probe
from rmqlab.broker._management import NO_MANAGEMENT_FIX, Management
from rmqlab.errors import BrokerEndedError, BrokerError, BrokerUnavailableError, ManagementError

START_TIMEOUT_S = 90
LOOK_EVERY_S = 0.1
# To a container that has no network yet, the system itself tries again after 1, 3 and 7 seconds only.
LOOK_TIMEOUT_S = 0.5

# A lesson looks at a queue right after it did something to it, and the broker's statistics are
# five seconds old unless these are set; the management plugin knows whole seconds only.
QUICK_STATISTICS = (
    "-rabbit collect_statistics_interval 500 -rabbitmq_management_agent sample_retention_policies "
    "[{global,[{605,1}]},{basic,[{605,1}]},{detailed,[{605,1}]}]"
)

# Below those that systems give to outgoing connections (from 32768 or 49152 on): a broker
# binds its ports seconds after they were chosen, and till then any program might be given one.
PORTS = range(20000, 32000)

# Where each source is.
SOURCES = {"external": "External", "container": "Container", "node": "Node"}
# Those whose brokers are ours to break, the better one first, and what chooses one.
OWN_SOURCES = ("container", "node")
OWN_SETTING = "RMQLAB_OWN_BROKER"

# What a source would leave behind: plain data, so that it can be handed to the reaper.
Resources = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a running broker is reached."""

    address: Address  # with the virtual host to use
    management_url: str | None  # without credentials
    version: str

    def management(self) -> Management:
        """Return a client of the management API; raises ManagementError where there is none."""
        if not self.management_url:
            raise ManagementError(
                f"No management API of the broker at {self.address.place} is known. Next: {NO_MANAGEMENT_FIX}"
            )
        return Management(self.management_url, self.address)


class Source(abc.ABC):
    """One way to get a broker.

    Its constructor is quick, starts nothing, and raises an RmqlabError where the source cannot be used.
    """

    detail: str  # what was found, for the doctor

    @abc.abstractmethod
    def resources(self) -> Resources:
        """Return what `cleanup` needs to know; nothing has been started yet."""

    @abc.abstractmethod
    def start(self) -> Endpoint:
        """Start or reach the broker and wait until it takes connections."""

    @staticmethod
    @abc.abstractmethod
    def cleanup(resources: Resources) -> None:
        """Remove what `start` made, here or in the reaper. Safe to call twice, or if nothing was made."""


class Server(Source):
    """A source whose server is ours to break; no method does harm where it is gone, or not paused."""

    title: str  # what it is, for errors
    when_silent: str  # the next step if it takes no connection
    when_ended: str  # the next step if it ended as it started
    _address: Address

    @abc.abstractmethod
    def signal(self, name: str) -> object:
        """Send the server a signal by its name, as Windows has no `signal.SIGKILL`; does not wait."""

    @abc.abstractmethod
    def is_running(self) -> bool:
        """Return True if there is a process of the server, paused or not."""

    @abc.abstractmethod
    def run(self) -> ServerInfo:
        """Start the server, with the data and the ports it had, and wait as `wait_until_ready`."""

    @abc.abstractmethod
    def pause(self) -> None:
        """Let the server's processes stand still."""

    @abc.abstractmethod
    def resume(self) -> None:
        """Let the server's processes go on."""

    @abc.abstractmethod
    def _control(self, *arguments: str) -> tuple[int, str]:
        """Run rabbitmqctl and return its exit code and what it prints."""

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression on the server and return what it gives; raises BrokerError."""
        code, printed = self._control("eval", "--quiet", expression)
        if code:
            lines = printed.strip().splitlines() or ["no answer"]
            raise BrokerError(
                f"rabbitmqctl eval failed ({lines[-1][:200]}). "
                "Next: see that the broker runs, and is not paused"
            )
        return printed.strip()

    def wait_until_ready(self) -> ServerInfo:
        """Wait until the server takes connections; raises BrokerEndedError or BrokerUnavailableError."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while self.is_running():
            try:
                return probe(self._address, LOOK_TIMEOUT_S)
            except BrokerUnavailableError as error:
                if time.monotonic() > deadline_s:
                    raise BrokerUnavailableError(
                        f"{self.title} took no connection at {self._address.place} for {START_TIMEOUT_S} s"
                        f"{self._last_words()}. Next: {self.when_silent}"
                    ) from error
            time.sleep(LOOK_EVERY_S)
        raise BrokerEndedError(
            f"{self.title} ended as it started{self._last_words()}. Next: {self.when_ended}"
        )

    def _last_words(self) -> str:
        """Return what the server printed of an error, in parentheses, if that can be known."""
        return ""


def source_class(name: str) -> type[Source]:
    """Return the class of a source by its name."""
    # Only when it is asked for, so that `import rmqlab` is quick, and a node does without Docker's client.
    found: type[Source] = getattr(importlib.import_module(f"rmqlab.broker._{name}"), SOURCES[name])
    return found


def read_setting(name: str) -> str:
    """Return a variable of the environment without spaces around it; empty if it is not set."""
    return os.environ.get(name, "").strip()


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
