"""A link to a broker that is as long as one wishes: TCP with latency.

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
import threading
from typing import Any

from rmqlab.broker._address import SOCKET_TIMEOUT_S, Address, explain
from rmqlab.broker._broker import Broker
from rmqlab.closing import Closing
from rmqlab.errors import BrokerError, BrokerUnavailableError

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 256 * 1024  # taken from a socket at once
ACCEPT_AGAIN_AFTER_S = 1
CLOSE_TIMEOUT_S = 5

logger = logging.getLogger("rmqlab.broker")


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
        self._address = Address.parse(broker if isinstance(broker, str) else broker.url)
        if self._address.scheme != "amqp":
            raise BrokerError(
                f"A link carries plain amqp://, and the broker at {self._address.host}:{self._address.port} "
                f"is reached by {self._address.scheme}://. Next: give the link an amqp:// URL of this broker"
            )
        self._delay_ms = delay_ms
        self._places = _resolve(self._address)
        # Bound here, and not by the thread: the URL is known, and good, when this returns.
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.setblocking(False)
        self._port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
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

    def close(self) -> None:
        """End the link and all connections through it, at once. Safe to call twice.

        What is on its way is lost, as when a cable is pulled; but both ends are told.
        """
        atexit.unregister(self.close)
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        with self._listener, contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        accepting = self._loop.create_task(self._accept())
        await self._ended.wait()
        await _cancel({accepting})  # who was accepted in this very moment is closed as garbage
        await asyncio.sleep(0)  # one that is cancelled before it has begun would close no socket
        await _cancel(self._connections)

    async def _accept(self) -> None:
        while True:
            try:
                client, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:  # such as too many open files
                logger.warning("the link to %s accepts nobody: %s", self._address.masked, error)
                await asyncio.sleep(ACCEPT_AGAIN_AFTER_S)
                continue
            connection = self._loop.create_task(self._carry(client))
            self._connections.add(connection)  # the loop itself may forget a task
            connection.add_done_callback(self._connections.discard)

    async def _carry(self, client: socket.socket) -> None:
        """Carry one connection, until both sides have ended."""
        with client:
            try:
                broker = await self._reach_broker()
            except OSError as error:
                logger.info("the link reaches no broker at %s: %s", self._address.masked, error)
                return
            with broker:
                for each in (client, broker):
                    each.setblocking(False)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                delay_s = self._delay_ms / 1000
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(Pump(client, broker, delay_s=delay_s).run())
                    pumps.create_task(Pump(broker, client, delay_s=delay_s).run())

    async def _reach_broker(self) -> socket.socket:
        """Connect to the first of the broker's places that answers, as pika does."""
        failure = OSError("its host has no address")
        for family, place in self._places:
            broker = socket.socket(family, socket.SOCK_STREAM)
            broker.setblocking(False)
            try:
                async with asyncio.timeout(SOCKET_TIMEOUT_S):
                    await self._loop.sock_connect(broker, place)
            except OSError as error:
                broker.close()
                failure = error
            except BaseException:
                broker.close()
                raise
            else:
                return broker
        raise failure


class Pump:
    """One direction of a connection: takes bytes from one side, and gives them to the other later.

    Args:
        source: where the bytes come from.
        target: where they go to; told of the end when the source has ended and all is through.
        delay_s: how long each byte is on its way, in seconds.
    """

    def __init__(self, source: socket.socket, target: socket.socket, *, delay_s: float) -> None:
        self._source = source
        self._target = target
        self._delay_s = delay_s
        # Pieces on their way, each with the time when it is due; an empty one is the end.
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def run(self) -> None:
        """Pump until the source ends and all its bytes are through, or the target is gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take())
                tasks.create_task(self._give())
        except* OSError:
            pass  # the target is gone: the pump of the other direction sees it as its source

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # A target that takes nothing holds up the source, as TCP does: so a pump holds no
            # more than what comes in during one delay.
            await self._flowing.wait()
            try:
                piece = await loop.sock_recv(self._source, PIECE_BYTES)
            except OSError:  # reset: what came before is on its way all the same
                piece = b""
            self._under_way.put_nowait((loop.time() + self._delay_s, piece))
            if not piece:
                return
            await asyncio.sleep(0)  # a source that always has more must not keep the loop to itself

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, piece = await self._under_way.get()
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            if not piece:
                self._target.shutdown(socket.SHUT_WR)
                return
            self._flowing.clear()
            await loop.sock_sendall(self._target, piece)
            self._flowing.set()


def _resolve(address: Address) -> list[tuple[int, Any]]:
    """Look up where a broker may be: here, as asyncio would start threads for it."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BrokerUnavailableError(explain(error, address)) from error
    return [(family, place) for family, _, _, _, place in found]


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
