"""One direction of a connection over a link."""

from __future__ import annotations

import asyncio
import socket
import time

BATCH_BYTES = 256 * 1024  # taken from a socket at once


class Proxy:
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
            # A target that takes nothing holds up the source, as TCP does: so a proxy holds no
            # more than what comes in during one delay.
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
