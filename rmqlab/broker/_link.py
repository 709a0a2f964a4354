"""A link to a broker that is as long as one wishes, and that can be cut: TCP with latency.

What it costs to wait for an answer shows only over a distance; and only a network between two
programs loses its way without a word to either.
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
import weakref
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
ACCEPT_AGAIN_AFTER_S = 1
CLOSE_TIMEOUT_S = 5
BATCH_BYTES = 256 * 1024  # taken from a socket at once
# Closes a socket by a reset, and at once: on, for 0 seconds. On Windows its fields are short ones.
ABRUPT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

logger = logging.getLogger("rmqlab.broker")
T = TypeVar("T")


class Link(Closing):
    """A TCP link to a broker that is slower than loopback, by a latency of your choice.

    Each byte takes `delay_ms` in each direction, so a round trip takes 2 x `delay_ms` longer,
    and about a millisecond for the link itself. The delay does not limit how many bytes are
    on their way. Connect to `url` instead of the broker's own. The link is open from the
    beginning; leave its `with` block or call `close` to end it. It ends with the interpreter.

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
        self._listener.setblocking(False)
        self._port: int = self._listener.getsockname()[1]
        # The usual loop of Windows cannot tell when a socket has something to read.
        self._loop = asyncio.SelectorEventLoop()
        self._ended = asyncio.Event()
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
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
        """Return a context manager: during its block the network is cut, without a word to either side.

        No byte passes, in neither direction, and nobody is told: no connection is closed, and
        writing goes on until the system's buffers are full. New connections are taken, and get
        no answer. What was on its way is held and arrives after the block, and so does the end
        of a connection that one side has given up meanwhile. So it is with TCP, which sends
        again what was not acknowledged: a short cut is a delay, and a long one is noticed by
        heartbeats alone. Two things are not as on a real network: there a new connection would
        not even be taken, and what was held arrives up to as long again after the cut, as TCP
        doubles the time between its attempts.

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
        await asyncio.sleep(0)  # one that is cancelled before it has begun would close no socket
        for each in self._sockets if by_reset else ():
            if each.fileno() >= 0:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)
        connections = set(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return len(connections)

    def _run(self) -> None:
        with self._listener, contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._listen()
        await self._ended.wait()
        self._loop.remove_reader(self._listener)
        await self._end_connections(by_reset=False)

    def _listen(self) -> None:
        # asyncio's sock_accept may take a connection after it was cancelled, and forget it.
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # it has gone again
            return
        except OSError as error:  # such as too many open files
            logger.warning("the link to %s accepts nobody: %s", self._address.masked, error)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(ACCEPT_AGAIN_AFTER_S, self._listen)
            return
        self._sockets.add(client)
        connection = self._loop.create_task(self._carry(client))
        self._connections.add(connection)  # the loop itself may forget a task
        connection.add_done_callback(self._connections.discard)

    async def _carry(self, client: socket.socket) -> None:
        """Carry one connection, until both sides have ended."""
        with client:
            await self._is_whole.wait()
            try:
                broker = await self._reach_broker()
            except OSError as error:
                logger.info("the link reaches no broker at %s: %s", self._address.masked, error)
                return
            self._sockets.add(broker)
            with broker:
                for each in (client, broker):
                    each.setblocking(False)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.TaskGroup() as proxies:
                    for source, target in ((client, broker), (broker, client)):
                        proxy = _Proxy(source, target, delay_s=self._delay_ms / 1000, is_whole=self._is_whole)
                        proxies.create_task(proxy.run())

    async def _reach_broker(self) -> socket.socket:
        """Connect to the first of the broker's places that answers, as pika does."""
        failure = OSError("its host has no address")
        for family, place in self._places:
            broker = socket.socket(family, socket.SOCK_STREAM)
            broker.setblocking(False)
            try:
                async with asyncio.timeout(SOCKET_TIMEOUT_S):
                    await self._loop.sock_connect(broker, place)
                return broker
            except BaseException as error:
                broker.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
        raise failure


def _resolve(address: Address) -> list[tuple[int, Any]]:
    """Look up where a broker may be: here, as asyncio would start threads for it."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BrokerUnavailableError(explain(error, address)) from error
    return [(family, place) for family, _, _, _, place in found]


class _Proxy:
    """Takes bytes from one side, and gives them to the other later; holds them while the link is cut."""

    def __init__(
        self, source: socket.socket, target: socket.socket, *, delay_s: float, is_whole: asyncio.Event
    ) -> None:
        self._source = source
        self._target = target
        self._delay_s = delay_s
        self._is_whole = is_whole
        # Pieces on their way, each with the time when it is due; an empty one is the end.
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def run(self) -> None:
        """Pass bytes on until the source ends and all its bytes are through, or the target is gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take())
                tasks.create_task(self._give())
        except* OSError:
            pass  # the target is gone: the proxy of the other direction sees it as its source

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # A target that takes nothing holds up the source, as TCP does.
            await self._flowing.wait()
            await self._is_whole.wait()
            try:
                data = await loop.sock_recv(self._source, BATCH_BYTES)
            except OSError:  # reset: what came before is on its way all the same
                data = b""
            self._under_way.put_nowait((time.perf_counter() + self._delay_s, data))
            if not data:
                return
            await asyncio.sleep(0)  # a source that always has more must not keep the loop to itself

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await self._under_way.get()
            # The loop's own clock goes in steps on Windows, so that a sleep may end too soon.
            while (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            await self._is_whole.wait()
            if not data:
                self._target.shutdown(socket.SHUT_WR)
                return
            self._flowing.clear()
            await loop.sock_sendall(self._target, data)
            self._flowing.set()
