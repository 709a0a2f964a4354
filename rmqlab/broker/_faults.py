"""What can be broken about a broker that we started, and how it is mended."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from rmqlab.broker._address import Address
from rmqlab.broker._management import Management
from rmqlab.broker._outage import Fault, Outage, undisturbed
from rmqlab.broker._source import Endpoint, Server, Source
from rmqlab.errors import BrokerError, FaultError

LOOK_EVERY_S = 0.02
PROBE_TIMEOUT_S = 0.5
# A new connection shows in the management API's statistics within five seconds.
LISTED_TIMEOUT_S = 5
# A client that does not read does not hear that its connection was closed.
HEARD_TIMEOUT_S = 1
END_TIMEOUT_S = 60
KILL_TIMEOUT_S = 10
ALARM_TIMEOUT_S = 10
# For what is under way when the broker is stopped; its server has been killed by then.
STOP_TIMEOUT_S = 10
# Erlang's disk_log keeps up to 2 s in memory what RabbitMQ notes of its queues; nothing tells
# when it has written it down. A third second is for machines that are busy.
QUEUE_METADATA_FLUSH_S = 3.0

# An expression of Erlang: sets the watermark, and gives what it was.
SET_WATERMARK = (
    "W = vm_memory_monitor:get_vm_memory_high_watermark(), "
    "ok = vm_memory_monitor:set_vm_memory_high_watermark({}), W."
)


class Breakable:
    """The faults of a broker that we started, on purpose and with a way back.

    Each returns when it has happened, and is undone even if it is interrupted: what was
    stopped is started again before the interrupt goes on, and what was frozen goes on. `stop`
    and the end of the process undo nothing, and remove all.
    """

    _source: Source | None
    _endpoint: Endpoint | None

    def __init__(self) -> None:
        self._ending = threading.Event()  # set when the broker is stopped
        self._restarting = threading.Lock()  # held while the server goes down and comes up again

    def restart(self, down_s: float = 0.0) -> Outage:
        """Stop the server in good order, and start it again: same data, same URL.

        Clients are told: their connections are closed with the code 320, CONNECTION_FORCED.

        Args:
            down_s: how long the server stays away before it is started, in seconds. Its start
                takes some seconds more.

        Returns:
            When it took no connections any more, and when it took one again.

        Raises:
            FaultError: the broker is not ours to break, or was stopped meanwhile.
            BrokerUnavailableError: it does not come back.
        """
        return self._bring_down("restart", lambda server: server.terminate(), END_TIMEOUT_S, down_s)

    def kill(self, down_s: float = 0.0) -> Outage:
        """Kill the server as `kill -9` does, and start it again: same data, same URL.

        The broker has no time to write what it holds in memory, or to tell its clients: their
        system sees the connections end. What is still on disk is there again afterwards:
        durable queues, and persistent messages that were confirmed. But a queue that was
        declared less than about two seconds ago may be gone, with all of its messages: the
        broker writes down a moment later which queues there are. (So seen with RabbitMQ 3.10
        and 4.0: of 91 queues that were 0.2 or 0.7 s old, 12.) `QUEUE_METADATA_FLUSH_S` is when it has.

        Args:
            down_s: how long the server stays away before it is started, in seconds. Its start
                takes some seconds more.

        Returns:
            When it took no connections any more, and when it took one again.

        Raises:
            FaultError: the broker is not ours to break, or was stopped meanwhile.
            BrokerUnavailableError: it does not come back.

        Source: https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed
        """
        return self._bring_down("kill", lambda server: server.kill(), KILL_TIMEOUT_S, down_s)

    def frozen(self) -> Fault:
        """Let the server stand still for the time of a `with` block.

        Its connections stay open and nobody is told; new ones are taken by the system and get
        no answer. Only heartbeats notice. After the block it goes on where it stood, and takes
        connections again.

            with broker.frozen() as outage:
                ...

        Returns:
            What freezes it in a `with` statement, and gives the `Outage` as its target.

        Raises:
            FaultError: the broker is not ours to break, or its server is not running.
        """
        server, _ = self._server("freeze")

        def begin() -> None:
            if not server.is_running():
                raise FaultError("There is no server to freeze. Next: call the broker's restart()")
            server.freeze()

        def end() -> None:
            if not self._is_over(server):
                server.thaw()
                if server.is_running():  # it may have been killed meanwhile
                    server.wait_until_ready()

        return Fault("freeze", begin, end)

    def memory_alarm(self) -> Fault:
        """Let the broker be low on memory for the time of a `with` block.

        It sets the high watermark to 0, and afterwards to what it was. While the alarm is on,
        the broker reads nothing from connections that publish, and tells them by
        `connection.blocked`; consumers get their deliveries, if they have a connection of
        their own.

            with broker.memory_alarm() as outage:
                ...

        Returns:
            What raises the alarm in a `with` statement, and gives the `Outage` as its target.

        Raises:
            FaultError: the broker is not ours to break.
            BrokerError: the alarm does not go on or off.

        Source: https://www.rabbitmq.com/docs/memory#configuring-threshold
        """
        server, endpoint = self._server("fill")
        before: list[str] = []

        def begin() -> None:
            if _has_alarm(endpoint):
                raise FaultError(
                    "The broker is low on memory already. Next: leave that block, or call restart()"
                )
            before.append(server.control("eval", "--quiet", SET_WATERMARK.format("0")).strip())
            _wait_for_alarm(endpoint, on=True)

        def end() -> None:
            if before and not self._is_over(server):
                server.control("eval", "--quiet", SET_WATERMARK.format(before[0]))
                _wait_for_alarm(endpoint, on=False)

        return Fault("memory alarm", begin, end)

    def close_connections(self, name: str | None = None) -> int:
        """Close connections from the broker's side, as an operator does.

        Clients are told by the code 320, CONNECTION_FORCED. One that does not read, such as an
        idle `BlockingConnection`, hears of it when it next does; to the broker it is gone at
        once, and so are its consumers.

        Args:
            name: the connections that their client has given this name; None for all of the
                lab's virtual host.

        Returns:
            How many were closed.

        Raises:
            FaultError: the broker is not ours to break, or has no connection of this name.
            ManagementError: the broker's management API does not answer.
        """
        _, endpoint = self._server("close connections of")
        with _management(endpoint) as management:
            if name is None:
                closing = _open_connections(management, endpoint.address)
                management.close_connections(user=endpoint.address.username)
            else:
                closing = _open_connections(management, endpoint.address, client=name)
                for each in closing:
                    management.close_connection(each)
            # The broker has let go of them: what is left is its clients to hear of it.
            _wait(lambda: not closing & _known(management, endpoint.address), HEARD_TIMEOUT_S)
        return len(closing)

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all that is in it, whoever consumes from it.

        Its consumers are cancelled by the broker: `basic.cancel`.

        Args:
            name: name of the queue.

        Raises:
            FaultError: the broker is not ours to break, or has no such queue.
            ManagementError: the broker refused, as it does for another connection's
                exclusive queue.

        Source: https://www.rabbitmq.com/docs/consumer-cancel
        """
        _, endpoint = self._server("delete queues of")
        with _management(endpoint) as management:
            if not management.delete_queue(name, endpoint.address.virtual_host):
                raise FaultError(f"There is no queue {name!r}. Next: declare it, or correct the name")

    def _server(self, what: str) -> tuple[Server, Endpoint]:
        """Return the server and the way to it, if it is ours to break."""
        if self._endpoint is None:
            raise FaultError("This broker is stopped. Next: call its start(), or run the setup cell again")
        if not isinstance(self._source, Server):
            raise FaultError(
                f"This broker is somebody else's, and not ours to {what}. Next: use start_broker(own=True)"
            )
        return self._source, self._endpoint

    def _is_over(self, server: Server) -> bool:
        """Return whether the broker was stopped since: then there is nothing to mend."""
        return self._ending.is_set() or self._source is not server

    def _wait_for_outage(self) -> bool:
        """Wait for what is under way with a server that was killed; say whether there was any."""
        if not self._restarting.locked():
            return False
        if self._restarting.acquire(timeout=STOP_TIMEOUT_S):
            self._restarting.release()
        return True

    def _bring_down(
        self, fault: str, end: Callable[[Server], None], timeout_s: float, down_s: float
    ) -> Outage:
        if not 0 <= down_s <= threading.TIMEOUT_MAX:
            raise ValueError(f"down_s is {down_s}; it must be a number of seconds from 0")
        server, endpoint = self._server(fault)
        skip_wait = threading.Event()

        def work() -> Outage:
            with self._restarting:
                outage = Outage(fault)
                try:
                    server.thaw()  # what is frozen does not end in good order
                    end(server)
                    _wait(lambda: not (server.is_running() and _listens(endpoint.address)), timeout_s)
                    outage.down_ns = time.perf_counter_ns()
                    if not _wait(lambda: not server.is_running(), timeout_s):
                        raise BrokerError(f"The server does not end in {timeout_s:g} s. Next: use kill()")
                    _wait(lambda: skip_wait.is_set() or self._is_over(server), down_s)
                    if not self._is_over(server):
                        server.run()
                except (BrokerError, OSError):
                    if not self._is_over(server):
                        raise
                if self._is_over(server):
                    raise FaultError("The broker was stopped while it was down. Next: call its start()")
                outage.up_ns = time.perf_counter_ns()
                return outage

        return undisturbed(work, on_interrupt=skip_wait.set)


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Look until something is so; say whether it was within the time limit."""
    pause = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return False
        pause.wait(min(LOOK_EVERY_S, left_s))
    return True


def _listens(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _management(endpoint: Endpoint) -> Management:
    assert endpoint.management_url  # what we start has one
    return Management(endpoint.management_url, endpoint.address)


def _has_alarm(endpoint: Endpoint) -> bool:
    with _management(endpoint) as management:
        return "memory" in management.alarms()


def _wait_for_alarm(endpoint: Endpoint, *, on: bool) -> None:
    if not _wait(lambda: _has_alarm(endpoint) is on, ALARM_TIMEOUT_S):
        raise BrokerError(
            f"The memory alarm is not {'on' if on else 'off'} after {ALARM_TIMEOUT_S} s. "
            "Next: see how busy the broker is"
        )


def _known(management: Management, address: Address) -> set[str]:
    return management.connection_names(user=address.username, virtual_host=address.virtual_host)


def _open_connections(management: Management, address: Address, client: str | None = None) -> set[str]:
    """Return the broker's names of the connections that are open, of one client or of all.

    The broker knows its connections at once, their clients' names and states up to a second later.
    """
    rows: list[dict[str, Any]] = []

    def all_are_listed() -> bool:
        rows[:] = management.list("connections", address.virtual_host)
        return _known(management, address) <= {each["name"] for each in rows}

    if client is None:
        all_are_listed()
        return _known(management, address) - {each["name"] for each in rows if each.get("state") == "closed"}
    _wait(all_are_listed, LISTED_TIMEOUT_S)
    clients = {
        each["name"]: each.get("client_properties", {}).get("connection_name")
        for each in rows
        if each.get("state") != "closed"
    }
    if client not in clients.values():
        raise FaultError(
            f"No connection is called {client!r}, but {sorted(set(map(str, clients.values())))}. "
            "Next: give connection_name in client_properties, or correct the name"
        )
    return {name for name, each in clients.items() if each == client}
