"""What the engine's queue carries."""

from __future__ import annotations

from typing import Any

import msgspec

from rmqlab.errors import InvalidTaskError


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of work for an engine worker; on the wire, a JSON object.

    Attributes:
        engine_id: which engine the work is for, such as `engine-123`.
        action: what to do, such as `process`.
        data: what to do it with: any JSON object.
    """

    engine_id: str
    action: str
    data: dict[str, Any] = {}

    def encode(self) -> bytes:
        """Give the body of a message that carries this task.

        Raises:
            InvalidTaskError: `data` holds something that JSON has no form for.
        """
        try:
            return msgspec.json.encode(self)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidTaskError(
                f"The task's data has no form in JSON ({error}). "
                "Next: give it texts, numbers, lists and dicts"
            ) from error

    @classmethod
    def decode(cls, body: bytes) -> Task:
        """Read a task from the body of a message.

        Raises:
            InvalidTaskError: the body is not JSON, or not a task; says which field.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidTaskError(
                f"The body is not a task ({error}). Next: look at who published it"
            ) from error
