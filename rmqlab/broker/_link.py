"""A link to a broker that is as long as one wishes, and that can be cut: TCP with latency."""

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
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from rmqlab.broker._broker import Broker, address_of
from rmqlab.broker._connection import SOCKET_TIMEOUT_S
from rmqlab.broker._outage import Fault
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError

LOOPBACK = "127.0.0.1"
TURNS = 10
CLOSE_TIMEOUT_S = 5
BATCH_BYTES = 256 * 1024  # taken from a socket at once
# Closes a socket by a reset, and at once: on, for 0 seconds. On Windows its fields are short ones.
ABRUPT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

logger = logging.getLogger("rmqlab.broker")
T = TypeVar("T")


class Link(Closing):
    """A TCP link to a broker that is slower than loopback, by a latency of your choice.

    A round trip takes 2 x `delay_ms` longer, and about a millisecond for the link itself. The delay
    does not limit how many bytes are on their way. Connect to `url` instead of the broker's own. The
    link is open from the beginning, until its `with` block is left or `close` is called.

        with Link(broker, delay_ms=20) as link, Publisher(link.url, routing_key="q") as publisher:
            ...

    Args:
        broker: a broker of `start_broker`, or an AMQP URL. It need not run yet, nor all the
            time: each connection to the link makes its own to the broker, and is closed if
            that fails.
        delay_ms: how long each byte is on its way, one way, in milliseconds.

    Raises:
        ValueError: `delay_ms` is below 0, infinite or not a number.
        AddressError: the URL cannot be right.
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
        # Bound here, and not by the thread: the URL is known, and good, when this returns.
        self._listener = socket.create_server((LOOPBACK, 0))
        self._port: int = self._listener.getsockname()[1]
        # The usual loop of Windows cannot tell when a socket has something to read.
        self._loop = asyncio.SelectorEventLoop()
        self._ended = asyncio.Event()
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
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

    def partitioned(self) -> Fault:
        """Return a context manager: during its block the network is cut, without a word to either side.

        No byte passes, and nobody is told: no connection is closed, and writing goes on until the
        system's buffers are full. New connections are taken, and get no answer. What was on its
        way arrives after the block, and so does the end of a connection that one side has given up
        meanwhile. So a short cut is a delay, and a long one is noticed by heartbeats alone. On a
        real network a new connection would not even be taken, and what was held arrives up to as
        long again after the cut, as TCP doubles the time between its attempts.

            with link.partitioned() as outage:
                ...

        Blocks do not nest: the first one to end makes the link whole.

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

        What is on its way is lost, as when a cable is pulled; but both ends are told.
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
        # What is being accepted, or has just reached the broker, is known to us some turns of the loop later.
        for _ in range(TURNS):
            await asyncio.sleep(0.001)
        for writer in list(self._writers):
            if by_reset:
                with contextlib.suppress(OSError):  # it is closed already
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)
            writer.transport.abort()
        connections = set(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener, limit=BATCH_BYTES)
        await self._ended.wait()
        server.close()
        await self._end_connections(by_reset=False)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = self._loop.create_task(self._carry(reader, writer))
        self._connections.add(connection)  # the loop itself may forget a task
        connection.add_done_callback(self._connections.discard)

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Carry one connection, until both sides have ended."""
        with contextlib.closing(to_client):
            await self._is_whole.wait()
            try:
                async with asyncio.timeout(SOCKET_TIMEOUT_S):
                    from_broker, to_broker = await asyncio.open_connection(
                        self._address.host, self._address.port, limit=BATCH_BYTES
                    )
            except OSError as error:
                logger.info("the link reaches no broker at %s: %s", self._address.masked, error)
                return
            self._writers.add(to_broker)
            with contextlib.closing(to_broker):
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._pass_on(from_client, to_broker))
                    directions.create_task(self._pass_on(from_broker, to_client))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass bytes on until the source ends and all its bytes are through, or the target is gone."""
        # Pieces on their way, each with the time when it is due; an empty one is the end.
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take() -> None:
            data = None
            while data != b"":
                await self._is_whole.wait()
                try:
                    data = await source.read(BATCH_BYTES)
                except OSError:  # reset: what came before is on its way all the same
                    data = b""
                under_way.put_nowait((time.perf_counter() + self._delay_ms / 1000, data))
                await target.drain()  # a target that takes nothing holds up the source, as TCP does

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
                if not target.is_closing():  # asyncio would warn on stderr of each write to one that is gone
                    target.write(data)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(take())
                tasks.create_task(give())
        except* OSError:
            pass  # the target is gone: the other direction sees it as its source
