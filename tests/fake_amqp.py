"""A small AMQP 0-9-1 server for what a real broker cannot be made to do on demand.

It takes any user and any virtual host, and answers what a client of ours asks in the course of a
connection. A test can have it keep an answer back, cut every frame in two, send what it likes, or
end a connection at any moment.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pika
from pika import frame, spec

WAIT_S = 10  # for an event that is under way
FRAME_MAX = 131072
PROPERTIES = {
    "version": "0.0",
    "cluster_name": "fake",
    "capabilities": {"basic.nack": True, "publisher_confirms": True},
}

ANSWERS: dict[type, Callable[[Any], Any]] = {
    frame.ProtocolHeader: lambda _: spec.Connection.Start(server_properties=PROPERTIES),
    spec.Connection.StartOk: lambda _: spec.Connection.Tune(
        channel_max=2047, frame_max=FRAME_MAX, heartbeat=0
    ),
    spec.Connection.Open: lambda _: spec.Connection.OpenOk(),
    spec.Connection.Close: lambda _: spec.Connection.CloseOk(),
    spec.Channel.Open: lambda _: spec.Channel.OpenOk(),
    spec.Channel.Close: lambda _: spec.Channel.CloseOk(),
    spec.Confirm.Select: lambda _: spec.Confirm.SelectOk(),
    spec.Basic.Qos: lambda _: spec.Basic.QosOk(),
    spec.Basic.Consume: lambda method: spec.Basic.ConsumeOk(method.consumer_tag),
    spec.Basic.Cancel: lambda method: spec.Basic.CancelOk(method.consumer_tag),
}


class Peer(socketserver.BaseRequestHandler):
    """One connection of a client.

    Attributes:
        received: the methods that came, and were answered, in their order.
    """

    server: FakeServer

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received: list[Any] = []
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._has_ended = False
        self.server.peers.append(self)

    def handle(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            while came := self.request.recv(FRAME_MAX):
                data += came
                while (decoded := frame.decode_frame(data))[0]:
                    data = data[decoded[0] :]
                    self._take(decoded[1])

    def finish(self) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def send(self, method: Any, *, channel: int = 1) -> None:
        """Send a method, as this server sends its answers."""
        self.send_bytes(frame.Method(channel, method).marshal())

    def deliver(self, tag: int, body: bytes) -> None:
        """Deliver a message to the consumer that asked last."""
        consume = [each for each in self.received if isinstance(each, spec.Basic.Consume)][-1]
        self.send(spec.Basic.Deliver(consume.consumer_tag, tag, False, "", "queue"))
        self.send_bytes(frame.Header(1, len(body), pika.BasicProperties()).marshal())
        self.send_bytes(frame.Body(1, body).marshal())

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes; in two pieces where the server cuts frames."""
        middle = len(data) // 2 if self.server.cuts_frames else len(data)
        with self._sending:  # the test's thread sends as well as ours
            for part in filter(None, (data[:middle], data[middle:])):
                self.request.sendall(part)

    def end(self) -> None:
        """End the connection without a word."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)
        self.wait_until_ended()

    def wait_for(self, kind: type) -> None:
        """Wait until a method of a kind has come."""
        self._wait(lambda: any(isinstance(each, kind) for each in self.received))

    def wait_until_ended(self) -> None:
        """Wait until the client has closed its socket."""
        self._wait(lambda: self._has_ended)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S)

    def _take(self, came: Any) -> None:
        method = getattr(came, "method", came)
        answer = ANSWERS.get(type(method))
        if answer and not isinstance(method, self.server.unanswered):
            self.send(answer(method), channel=getattr(came, "channel_number", 0))
        with self._changed:
            self.received.append(method)
            self._changed.notify_all()


class FakeServer(socketserver.ThreadingTCPServer):
    """Listens on a free port of loopback; a context manager.

    Args:
        unanswered: kinds of methods that get no answer, such as `spec.Connection.Open`.
        cuts_frames: whether each frame is sent in two pieces.
    """

    daemon_threads = True

    def __init__(self, *, unanswered: Iterable[type] = (), cuts_frames: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Peer)
        self.unanswered = tuple(unanswered)
        self.cuts_frames = cuts_frames
        self.peers: list[Peer] = []  # the connections so far
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        """The URL for a client."""
        return f"amqp://127.0.0.1:{self.server_address[1]}/"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        for each in self.peers:
            each.end()
        self.server_close()
