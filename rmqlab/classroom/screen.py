"""The page on the teacher's screen: fed by the room's own broker, served on loopback."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rmqlab.amqp import connect
from rmqlab.classroom.progress import Course, Progress
from rmqlab.classroom.room import PROGRESS, Room
from rmqlab.errors import ClassroomError

PAGE = Path(__file__).with_name("screen.html")
TRY_AGAIN_S = 2
UNACKED = 500

logger = logging.getLogger("rmqlab.classroom")


@contextlib.contextmanager
def serve(room: Room, port: int) -> Iterator[str]:
    """Serve the page of a room until the block ends; yield its address.

    Args:
        room: an open room.
        port: a port of loopback; 0 takes a free one.

    Raises:
        ClassroomError: there is no such room, or the port is taken.
    """
    seats = room.seats()
    if not seats:
        raise ClassroomError(
            f"There is no room {room.name!r} on this broker. Next: make one, as with rmqlab classroom 20"
        )
    progress = Progress(Course(), seats)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(progress, room.name))
    except OSError as error:
        raise ClassroomError(f"Port {port} is taken. Next: name another one with --port") from error
    ended = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, name="rmqlab-screen"),
        threading.Thread(target=_follow, args=(room, progress, ended), name="rmqlab-classroom"),
    ]
    with server:
        for thread in threads:
            thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            ended.set()
            server.shutdown()
            for thread in threads:
                thread.join()


def _follow(room: Room, progress: Progress, ended: threading.Event) -> None:
    """Read the room's stream from its beginning, and again whenever the broker comes back."""
    while not ended.is_set():
        try:
            with connect(room.url, name="rmqlab classroom") as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=UNACKED)  # a stream asks for a limit
                reports = channel.consume(
                    PROGRESS, inactivity_timeout=0.2, arguments={"x-stream-offset": "first"}
                )
                for method, properties, body in reports:
                    if ended.is_set():
                        return
                    if method is not None:
                        progress.note(properties.user_id or "", body)
                        channel.basic_ack(method.delivery_tag)
        except Exception as error:  # whatever pika raises: the page waits for the broker
            logger.warning("the room's broker is away (%r); trying again", error)
            ended.wait(TRY_AGAIN_S)


def _handler(progress: Progress, name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._answer("text/html; charset=utf-8", PAGE.read_bytes())
            elif self.path == "/progress":
                shown = {"room": name} | progress.shown()
                self._answer("application/json", json.dumps(shown).encode())
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep the terminal for what matters."""

    return Handler
