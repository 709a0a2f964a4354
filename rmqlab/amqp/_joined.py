"""Send many frames in one piece.

pika hands each frame to the socket by itself: three system calls a message. Held back and
joined, a window of messages goes out in one. This is all that rmqlab takes from pika's
insides: `_adapter_emit_data`, through which every adapter sends. Where a pika does not call
it, nothing is ever held back, and all goes out as plain pika would send it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pika.adapters.select_connection import SelectConnection


class JoinedConnection(SelectConnection):  # type: ignore[misc]
    """pika's asynchronous connection, which can hold back what it has to send."""

    _held: list[bytes] | None = None

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Hold back all frames of the block, and send them in one piece at its end."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Begin to hold back frames, unless that is so already."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Send what was held back, and hold back no more."""
        held, self._held = self._held, None
        if held:
            super()._adapter_emit_data(b"".join(held))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._held is None:
            super()._adapter_emit_data(data)
        else:
            self._held.append(data)
