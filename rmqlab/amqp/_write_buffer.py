"""Send many messages in one batch, and encode each with as little work as may be.

pika makes and sends each of a message's three frames by itself: a good ten microseconds a
message. Here a window of messages goes out in one batch, and what is the same in all of a
publisher's messages is encoded once.

This is all that rmqlab takes from pika's insides: `_adapter_emit_data`, `_terminate_stream`,
the socket of its `_transport`, `_on_connection_workflow_done`, and the frames of `pika.frame`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pika
from pika import frame
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import StreamLostError

FRAME_END = bytes([pika.spec.FRAME_END])
# A frame's own header (type, channel, size) and, in a content header, class and weight come
# before the size of the body.
BODY_SIZE_AT = 7 + 4
BODY_SIZE = struct.Struct(">Q")
BODY_FRAME = struct.Struct(">BHL")


class BufferedConnection(SelectConnection):  # type: ignore[misc]
    """pika's asynchronous connection, which can hold back what it has to send."""

    _buffered: list[bytes] | None = None

    def hold(self) -> None:
        """Begin to hold back frames, unless that is so already."""
        if self._buffered is None:
            self._buffered = []

    def release(self) -> None:
        """Send what was held back in one batch, and hold back no more."""
        buffered, self._buffered = self._buffered, None
        if buffered and self.is_open:  # what one that is lost has held back can go nowhere
            self._send(b"".join(buffered))

    @property
    def is_congested(self) -> bool:
        """Whether something waits until the system's buffer has room for it."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def _send(self, data: bytes) -> None:
        """Send at once what the system takes, which saves three calls of it; leave the rest to pika."""
        plain = getattr(self._transport, "_sock", None)
        if type(plain) is socket.socket and not self.is_congested:
            # The system's buffer is full, or the connection is gone: pika finds that out itself.
            with contextlib.suppress(OSError):
                data = data[plain.send(data) :]
        if data:
            super()._adapter_emit_data(data)

    def drop(self) -> None:
        """Let the connection go as a process does that is killed: without a word to the broker."""
        self._buffered = None
        self._terminate_stream(StreamLostError("dropped"))

    def _on_connection_workflow_done(self, outcome: Any) -> None:
        # pika 1.4 hands over the class of the exception, and trips over it, when a connection is
        # closed during its handshake.
        super()._on_connection_workflow_done(outcome() if isinstance(outcome, type) else outcome)

    def emit(self, data: bytes) -> None:
        """Send frames that are encoded already, or hold them back."""
        self._adapter_emit_data(data)

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._buffered is None:
            super()._adapter_emit_data(data)
        else:
            self._buffered.append(data)


class Encoder:
    """Makes the frames of messages that differ in nothing but their bodies, of one frame each."""

    def __init__(
        self, channel: Channel, publish: pika.spec.Basic.Publish, properties: pika.BasicProperties
    ) -> None:
        self._channel = channel.channel_number
        header = frame.Header(self._channel, 0, properties).marshal()
        self._before = frame.Method(self._channel, publish).marshal() + header[:BODY_SIZE_AT]
        self._after = header[BODY_SIZE_AT + BODY_SIZE.size :]
        self.largest = channel.connection.params.frame_max - BODY_FRAME.size - len(FRAME_END)

    def encode(self, body: bytes) -> bytes:
        """Return the frames of a message whose body is not empty, nor larger than `largest`."""
        size = len(body)
        return b"".join(
            (
                self._before,
                BODY_SIZE.pack(size),
                self._after,
                BODY_FRAME.pack(pika.spec.FRAME_BODY, self._channel, size),
                body,
                FRAME_END,
            )
        )
