"""What the engine's messages carry: JSON objects, read with care."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from rmqlab.errors import InvalidMessageError


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a message about an engine; on the wire, a JSON object.

    Attributes:
        engine_id: which engine it is about, such as `engine-123`.
    """

    engine_id: str

    def encode(self) -> bytes:
        """Return the body of a message that carries this.

        Raises:
            InvalidMessageError: `data` holds something that JSON has no form for.
        """
        try:
            return msgspec.json.encode(self)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidMessageError(
                f"The {type(self).__name__.lower()}'s data has no form in JSON ({error}). "
                "Next: give it strings, numbers, lists and dicts"
            ) from error

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the body of a message.

        Raises:
            InvalidMessageError: the body is not JSON, or not what it should be; says which field.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidMessageError(
                f"The body is no {cls.__name__.lower()} ({error}). Next: look at who published it"
            ) from error


class Task(Body, frozen=True):
    """A piece of work for an engine worker; on the wire, a JSON object.

    Attributes:
        engine_id: which engine the work is for, such as `engine-123`.
        action: what to do, such as `process`.
        data: what to do it with: any JSON object.
    """

    action: str
    data: dict[str, Any] = {}


class Event(Body, frozen=True):
    """Something that has happened to an engine; on the wire, a JSON object.

    Attributes:
        engine_id: which engine it happened to, such as `engine-123`.
        event: what happened, such as `processed`.
        data: what else there is to say of it: any JSON object.
    """

    event: str
    data: dict[str, Any] = {}
