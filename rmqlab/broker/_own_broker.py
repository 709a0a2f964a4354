"""A broker that we started, and may break: what can be broken about it, and how it is mended."""

from __future__ import annotations

import socket
import threading
import time

from rmqlab.broker._address import Address
from rmqlab.broker._broker import Broker
from rmqlab.broker._outage import Fault, Outage
from rmqlab.broker._source import Endpoint, Server, Source
from rmqlab.errors import BrokerError, FaultError
from rmqlab.interrupts import deferred, wait_until

PROBE_TIMEOUT_S = 0.5
HEARD_TIMEOUT_S = 1  # a client that does not read does not hear that its connection was closed
RESTART_TIMEOUT_S = 60
KILL_TIMEOUT_S = 10
ALARM_TIMEOUT_S = 10
STOP_TIMEOUT_S = 10  # for a fault that is under way when the broker is stopped
# Erlang's disk_log keeps up to 2 s in memory what RabbitMQ notes of its queues; nothing tells
# when it has written it down. A third second is for machines that are busy.
QUEUE_METADATA_FLUSH_S = 3.0

# An expression of Erlang: sets the watermark, and gives what it was.
SET_WATERMARK = (
    "W = vm_memory_monitor:get_vm_memory_high_watermark(), "
    "ok = vm_memory_monitor:set_vm_memory_high_watermark({}), W."
)


class OwnBroker(Broker):
    """A broker that was started here and is ours to break, on purpose and with a way back.

    A verb acts at once, and returns when it has happened. A state (`paused`, `memory_alarm`) is a
    context manager, and lasts as long as its `with` block. Both are undone even if they are
    interrupted; the interrupt is raised afterwards. `stop` and the end of the process undo nothing,
    and remove all. Each fault raises BrokerError if the broker is stopped.

    Args:
        source: where the broker comes from: `container` or `node`.
    """

    _source: Server | None

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._ending = threading.Event()  # set when the broker is stopped
        self._restarting = threading.Lock()  # held while the server goes down and comes up again

    def restart(self, down_s: float = 0.0) -> Outage:
        """Stop the server in good order, and start it again: same data, same URL.

        The broker closes its clients' connections with the code 320, CONNECTION_FORCED.

        Args:
            down_s: how long the server stays away before it is started, in seconds. Its start
                takes some seconds more.

        Returns:
            When it took no connections any more, and when it took one again.

        Raises:
            BrokerError: the server does not end.
            FaultError: the broker was stopped meanwhile.
            BrokerUnavailableError: it does not come back.
        """
        return self._bring_down("restart", RESTART_TIMEOUT_S, down_s)

    def kill(self, down_s: float = 0.0) -> Outage:
        """Kill the server as `kill -9` does, and start it again: same data, same URL.

        What is on disk is there again: durable queues, and persistent messages that were
        confirmed. But a queue that is younger than `QUEUE_METADATA_FLUSH_S` may be gone, with all
        its messages, as the broker writes down which queues there are a moment after a declare.

        Arguments, result and errors are those of `restart`.

        Source: https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed
        """
        return self._bring_down("kill", KILL_TIMEOUT_S, down_s)

    def paused(self) -> Fault:
        """Return a context manager: during its block the server stands still.

        Its connections stay open; the system takes new ones, and they get no answer. Only
        heartbeats notice. After the block it takes connections again.

            with own.paused() as outage:
                ...

        Raises:
            FaultError: its server is not running; when the block is entered.
        """
        server, _ = self._ours

        def begin() -> None:
            if not server.is_running():
                raise FaultError("There is no server to pause. Next: call the broker's restart()")
            server.pause()

        def end() -> None:
            if not self._is_over(server):
                server.resume()
                if server.is_running():  # it may have been killed meanwhile
                    server.wait_until_ready()

        return Fault("pause", begin, end)

    def memory_alarm(self) -> Fault:
        """Return a context manager: during its block the broker is low on memory.

        It sets the high watermark to 0, and afterwards to what it was. Meanwhile the broker reads
        nothing from connections that publish, and sends them `connection.blocked`. Consumers with
        a connection of their own get their deliveries.

            with own.memory_alarm() as outage:
                ...

        Raises:
            BrokerError: the alarm does not go on or off.
            FaultError: the broker is low on memory already; when the block is entered.

        Source: https://www.rabbitmq.com/docs/memory#configuring-threshold
        """
        server, endpoint = self._ours
        before: list[str] = []

        def begin() -> None:
            if _has_alarm(endpoint):
                raise FaultError(
                    "The broker is low on memory already. Next: leave that block, or call restart()"
                )
            before.append(server.evaluate(SET_WATERMARK.format("0")))
            _wait_for_alarm(endpoint, on=True)

        def end() -> None:
            if before and not self._is_over(server):
                server.evaluate(SET_WATERMARK.format(before[0]))
                _wait_for_alarm(endpoint, on=False)

        return Fault("memory alarm", begin, end)

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression, with its full stop, on the broker's node; return what it gives.

        Raises:
            BrokerError: the broker is stopped, or cannot evaluate it.

        Source: https://www.rabbitmq.com/docs/man/rabbitmqctl.8#eval
        """
        return self._ours[0].evaluate(expression)

    def close_connections(self) -> int:
        """Close all connections to the lab's virtual host from the broker's side, as an operator does.

        Clients get the code 320, CONNECTION_FORCED. One that does not read, such as an idle
        `BlockingConnection`, sees it when it next does; the broker ends its consumers at once.

        Returns:
            How many were closed.

        Raises:
            ManagementError: the broker's management API does not answer.
        """
        _, endpoint = self._ours
        with endpoint.management() as management:
            closing = management.connection_names()
            management.close_connections()
            wait_until(lambda: not closing & management.connection_names(), HEARD_TIMEOUT_S)
        return len(closing)

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all that is in it; the broker sends its consumers `basic.cancel`.

        Raises:
            FaultError: there is no such queue.
            ManagementError: the broker refused, as it does for another connection's
                exclusive queue.

        Source: https://www.rabbitmq.com/docs/consumer-cancel
        """
        _, endpoint = self._ours
        with endpoint.management() as management:
            if not management.delete_queue(name):
                raise FaultError(f"There is no queue {name!r}. Next: declare it, or correct the name")

    def _start(self) -> None:
        self._ending.clear()
        super()._start()

    def _clean_up(self, source: Source) -> None:
        self._ending.set()
        super()._clean_up(source)
        if self._restarting.locked():  # and may just have started the server again
            if self._restarting.acquire(timeout=STOP_TIMEOUT_S):
                self._restarting.release()
            super()._clean_up(source)

    @property
    def _ours(self) -> tuple[Server, Endpoint]:
        endpoint = self._running
        assert self._source  # as it runs
        return self._source, endpoint

    def _is_over(self, server: Server) -> bool:
        """Return True if the broker was stopped since: then there is nothing to mend."""
        return self._ending.is_set() or self._source is not server

    def _bring_down(self, fault: str, timeout_s: float, down_s: float) -> Outage:
        if not 0 <= down_s <= threading.TIMEOUT_MAX:
            raise ValueError(f"down_s is {down_s}; it must be a number of seconds from 0")
        server, endpoint = self._ours
        with deferred, self._restarting:
            outage = Outage(fault)
            try:
                server.resume()  # what is paused does not end in good order
                server.signal("SIGKILL" if fault == "kill" else "SIGTERM")
                wait_until(lambda: not (server.is_running() and _listens(endpoint.address)), timeout_s)
                outage.down_ns = time.perf_counter_ns()
                if not wait_until(lambda: not server.is_running(), timeout_s):
                    raise BrokerError(f"The server does not end in {timeout_s:g} s. Next: use kill()")
                # An interrupt ends this wait, also one of the main thread that has to wait for this thread.
                wait_until(lambda: deferred.is_pending or self._is_over(server), down_s)
                if not self._is_over(server):
                    server.run()
            except (BrokerError, OSError):
                if not self._is_over(server):
                    raise
            if self._is_over(server):
                raise FaultError("The broker was stopped while it was down. Next: call its start()")
            outage.up_ns = time.perf_counter_ns()
            return outage


def _listens(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _has_alarm(endpoint: Endpoint) -> bool:
    with endpoint.management() as management:
        return "memory" in management.alarms()


def _wait_for_alarm(endpoint: Endpoint, *, on: bool) -> None:
    if not wait_until(lambda: _has_alarm(endpoint) is on, ALARM_TIMEOUT_S):
        raise BrokerError(
            f"The memory alarm is not {'on' if on else 'off'} after {ALARM_TIMEOUT_S} s. "
            "Next: see how busy the broker is"
        )


def require_own(broker: Broker, *, given_to: str) -> OwnBroker:
    """Return a broker that is ours to break; raises FaultError for any other one."""
    if isinstance(broker, OwnBroker):
        return broker
    raise FaultError(
        f"{given_to} breaks its broker, and this one is somebody else's. Next: give it start_broker(own=True)"
    )
