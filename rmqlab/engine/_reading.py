"""What the engine's workers and its subscribers do with the body of a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pika

from rmqlab.amqp._work import OnMessage
from rmqlab.engine._body import Body
from rmqlab.errors import InvalidMessageError, RejectError

B = TypeVar("B", bound=Body)


def handle_bodies(kind: type[B], handle: Callable[[B], object], name: str) -> OnMessage:
    """Return what a consumer calls with each message: it reads the body, and hands it on."""

    def on_message(_method: pika.spec.Basic.Deliver, _properties: pika.BasicProperties, body: bytes) -> None:
        try:
            content = kind.decode(body)
        except InvalidMessageError as error:
            # No retry can mend it: requeueing would only bring it back, for ever.
            raise RejectError(str(error)) from error
        try:
            handle(content)
        except Exception as error:
            error.add_note(f"while {name} handled the {content.kind} of {content.engine_id}")
            raise

    return on_message
