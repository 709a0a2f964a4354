"""What tells the messages of a run apart: the first bytes of a body, or the message id."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

Identify = Callable[[Any, bytes], int]
"""Returns the number of a message from its properties and body.

For one that is not of the run it returns a number below 0, or raises ValueError or TypeError.
"""

# Number of the message, and what tells this run from others.
HEADER = struct.Struct("<II")
MAX_MESSAGES = 2**32
FOREIGN = -1


def by_header(properties: Any, body: bytes, *, run: int | None = None) -> int:  # noqa: ARG001
    """Return the number in the first 8 bytes of a body; below 0 for one of another run than `run`."""
    if len(body) < HEADER.size:
        return FOREIGN
    number: int
    number, its_run = HEADER.unpack_from(body)
    return number if run in (None, its_run) else FOREIGN


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
    except (ValueError, TypeError):
        return FOREIGN
    return number if 0 <= number < MAX_MESSAGES else FOREIGN
