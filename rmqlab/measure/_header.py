"""What tells the messages of a run apart: the first bytes of a body, or the message id."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Identify = Callable[[Any, bytes], int]
"""Returns the number of a message from its properties and body; below 0 for one not of the run.

It may also raise ValueError, TypeError or struct.error for a message that is not of the run.
"""

# Number of the message, and what tells this run from others.
HEADER = struct.Struct("<II")
MAX_MESSAGES = 2**32
FOREIGN = -1


@dataclass(frozen=True, slots=True)
class Header:
    """Identifies messages by the first 8 bytes of their bodies: number, and which run.

    Attributes:
        run: what the run's messages carry; None takes those of any run.
    """

    run: int | None = None

    def __call__(self, properties: Any, body: bytes) -> int:  # noqa: ARG002
        """Return the number of a message; below 0 if it is not of the run."""
        if len(body) < HEADER.size:
            return FOREIGN
        number: int
        number, run = HEADER.unpack_from(body)
        return number if self.run in (None, run) else FOREIGN


by_header = Header()


def by_message_id(properties: Any, body: bytes) -> int:  # noqa: ARG001
    """Return the number that the message's id consists of.

    Raises:
        TypeError: the message has no id.
        ValueError: the message's id is no number.
    """
    return int(properties.message_id)


def number_of(identify: Identify, properties: Any, body: bytes) -> int:
    """Return the number of a message, or FOREIGN, whatever `identify` does with it."""
    try:
        number = identify(properties, body)
    except (ValueError, TypeError, struct.error):
        return FOREIGN
    return number if 0 <= number < MAX_MESSAGES else FOREIGN
