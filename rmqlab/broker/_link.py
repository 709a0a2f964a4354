"""A link to a broker that is as long as one wishes, and that can be cut: TCP with latency.

A broker on the same machine answers within a fraction of a millisecond, one in another data
center does not. What it costs to wait for an answer shows only over a distance.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import logging
import math
import socket
import struct
import sys
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from rmqlab.broker._address import Address
from rmqlab.broker._broker import Broker, address_of
from rmqlab.broker._connection import SOCKET_TIMEOUT_S, explain
from rmqlab.broker._outage import Fault
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError, BrokerUnavailableError

LOOPBACK = "127.0.0.1"
CLOSE_TIMEOUT_S = 5
BATCH_BYTES = 256 * 1024  # taken from a socket at once

logger = logging.getLogger("rmqlab.broker")
T = TypeVar("T")


class Link(Closing):
    """A TCP link to a broker that is slower than loopback, by a latency of your choice.

    Each byte takes `delay_ms` in each direction, so a round trip takes 2 x `delay_ms` longer,
    and about a millisecond for the link itself. The delay does not limit how many bytes are
    on their way. Connect to `url` instead of the broker's own. Leave the `with` block or call
    `close` to end the link. It ends with the interpreter.

        with Link(broker, delay_ms=20) as link, Publisher(link.url, routing_key="q") as publisher:
            ...

    Args:
        broker: a broker of `start_broker`, or an AMQP URL. It need not run all the time: each
            connection to the link makes its own to the broker, and is closed if that fails.
        delay_ms: how long each byte is on its way, one way, in milliseconds.

    Raises:
        ValueError: `delay_ms` is below 0, infinite or not a number.
        AddressError: the URL cannot be right.
        BrokerUnavailableError: the URL's host has no address.
        BrokerError: the broker is reached by `amqps://`.
    """

    def __init__(self, broker: Broker | str, *, delay_ms: float = 0) -> None:
        if not 0 <= delay_ms < math.inf:
            raise ValueError(f"delay_ms is {delay_ms}; it must be a number from 0")
        # The plain URL of a broker: any client may use the link's, and few take pika's options.
        plain = broker.url if isinstance(broker, Broker) else broker
        self._address = address_of(plain, given_to="Link")
        if self._address.scheme != "amqp":
            raise BrokerError(
                f"A link carries plain amqp://, and the broker at {self._address.place} "
                f"is reached by {self._address.scheme}://. Next: give the link an amqp:// URL of this broker"
            )
        self._delay_ms = delay_ms
        self._places = _resolve(self._address)
        # Bound here, and not by the thread: the URL is known, and good, when this returns.
        self._listener = socket.create_server((LOOPBACK, 0))
        self._port: int = self._listener.getsockname()[1]
        # The usual loop of Windows cannot tell when a socket has something to read.
        self._loop = asyncio.SelectorEventLoop()
        self._ended = asyncio.Event()
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._connections: dict[asyncio.Task[Any], list[StreamWriter]] = {}
        self._thread = threading.Thread(target=self._run, name="rmqlab-link", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __repr__(self) -> str:
        state = "" if self._thread.is_alive() else ", closed"
        return f"<Link to {self._address.masked}, delay_ms={self._delay_ms:g}{state}>"

    @property
    def url(self) -> str:
        """The AMQP URL through the link, with user and password: for connecting, not for showing."""
        return dataclasses.replace(self._address, host=LOOPBACK, port=self._port).url

    @property
    def delay_ms(self) -> float:
        """How long each byte is on its way, one way, in milliseconds."""
        return self._delay_ms

    def partitioned(self) -> Fault:
        """Return a context manager: during its block the network is cut, and neither side notices.

        No byte passes, in neither direction, and no connection is closed. New connections are
        taken, and get no answer. What was on its way arrives after the block, and so does the
        end of a connection that one side has given up meanwhile. TCP does the same, as it sends
        again what was not acknowledged: a short cut is a delay, and only heartbeats notice a
        long one. Two things differ from a real network: there a new connection would not be
        taken, and what was held may arrive up to as long again after the cut.

            with link.partitioned() as outage:
                ...

        Blocks do not nest: the first one to end makes the link whole.

        Returns:
            What cuts the link in a `with` statement, and gives the `Outage` as its target.

        Raises:
            BrokerError: the link is closed; when the block is entered.

        Source: https://www.rabbitmq.com/docs/heartbeats
        """

        def mend() -> None:
            with contextlib.suppress(BrokerError):  # the link was closed meanwhile
                self._ask(self._set_whole(True))

        return Fault("partition", lambda: self._ask(self._set_whole(False)), mend)

    def drop(self) -> int:
        """End all connections over the link by a reset, at once; new ones are taken as before.

        Both sides see `connection reset`, as when a firewall or a load balancer forgets a
        connection. What is on its way is lost.

        Returns:
            How many connections there were.

        Raises:
            BrokerError: the link is closed.
        """
        return self._ask(self._end_connections(by_reset=True))

    def close(self) -> None:
        """End the link and all connections through it, at once. Safe to call twice.

        What is on its way is lost, but both sides see the end of their connections.
        """
        atexit.unregister(self.close)
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _ask(self, what: Coroutine[Any, Any, T]) -> T:
        """Have something done in the link's thread, and wait until it is."""
        try:
            return asyncio.run_coroutine_threadsafe(what, self._loop).result(CLOSE_TIMEOUT_S)
        except (CancelledError, TimeoutError, RuntimeError) as error:
            if isinstance(error, RuntimeError):  # the loop is closed, and never was given it
                what.close()
            raise BrokerError("This link is closed. Next: make a new one") from error

    async def _set_whole(self, is_whole: bool) -> None:
        (self._is_whole.set if is_whole else self._is_whole.clear)()

    async def _end_connections(self, *, by_reset: bool) -> int:
        connections = dict(self._connections)
        for connection, writers in connections.items():
            for writer in writers if by_reset else ():
                _set_abrupt(writer.get_extra_info("socket"), True)
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._carry, sock=self._listener)
        await self._ended.wait()
        server.close()
        await self._end_connections(by_reset=False)

    async def _carry(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        """Carry one connection, until both sides have ended."""
        connection = asyncio.current_task()
        assert connection
        writers = self._connections[connection] = [to_client]
        try:
            await self._is_whole.wait()
            from_broker, to_broker = await self._reach_broker()
            writers.append(to_broker)
            for writer in writers:
                writer.transport.set_write_buffer_limits(0)  # to drain is to wait until all is gone
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pass_on(from_client, to_broker))
                directions.create_task(self._pass_on(from_broker, to_client))
        except OSError as error:
            logger.info("the link reaches no broker at %s: %s", self._address.masked, error)
        except asyncio.CancelledError:  # which asyncio would report as a failure of its own
            pass
        finally:
            for writer in writers:
                writer.transport.abort()
            for writer in writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            del self._connections[connection]

    async def _reach_broker(self) -> tuple[StreamReader, StreamWriter]:
        """Connect to the first of the broker's places that answers, as pika does."""
        failure = OSError("its host has no address")
        for family, place in self._places:
            broker = socket.socket(family, socket.SOCK_STREAM)
            broker.setblocking(False)
            _set_abrupt(broker, True)  # so that a drop resets one that is just being opened, too
            try:
                async with asyncio.timeout(SOCKET_TIMEOUT_S):
                    await self._loop.sock_connect(broker, place)
                streams = await asyncio.open_connection(sock=broker)
                _set_abrupt(broker, False)
                return streams
            except OSError as error:
                broker.close()
                failure = error
            except asyncio.CancelledError:
                broker.close()
                raise
        raise failure

    async def _pass_on(self, source: StreamReader, target: StreamWriter) -> None:
        """Pass bytes on, later, until the source ends and all is through, or the target is gone."""
        # Batches, each with the time when it is due; an empty one is the end.
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        flowing = asyncio.Event()
        flowing.set()

        async def take() -> None:
            data = b"-"
            while data:
                # A target that takes nothing holds up the source, as TCP does.
                await flowing.wait()
                await self._is_whole.wait()
                try:
                    data = await source.read(BATCH_BYTES)
                except OSError:  # reset: what came before is on its way all the same
                    data = b""
                under_way.put_nowait((time.perf_counter() + self._delay_ms / 1000, data))

        async def give() -> None:
            while True:
                due_s, data = await under_way.get()
                # The loop's own clock goes in steps on Windows, so that a sleep may end too soon.
                while (wait_s := due_s - time.perf_counter()) > 0:
                    await asyncio.sleep(wait_s)
                await self._is_whole.wait()
                if not data:
                    target.write_eof()
                    return
                flowing.clear()
                target.write(data)
                await target.drain()
                flowing.set()

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(take())
                tasks.create_task(give())
        except* OSError:
            pass  # the target is gone: the other direction sees it as its source


def _resolve(address: Address) -> list[tuple[int, Any]]:
    """Look up where a broker may be: here, as asyncio would start threads for it."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BrokerUnavailableError(explain(error, address)) from error
    return [(family, place) for family, *_, place in found]


def _set_abrupt(connection: Any, is_abrupt: bool) -> None:
    """Choose whether a socket's close resets its connection, at once."""
    fields = "hh" if sys.platform == "win32" else "ii"
    with contextlib.suppress(OSError):  # it is closed
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(fields, is_abrupt, 0))
