"""Events and tasks as bodies of messages: written, read, and refused."""

from __future__ import annotations

import json

import pytest

from rmqlab.engine import Event, Task
from rmqlab.errors import InvalidEventError, InvalidMessageError

EVENT = Event("engine-123", "processed", {"flight": "US1895", "delay_min": -6})


def test_an_event_travels_as_a_json_object() -> None:
    assert json.loads(EVENT.encode()) == {
        "engine_id": "engine-123",
        "event": "processed",
        "data": {"flight": "US1895", "delay_min": -6},
    }


def test_what_was_encoded_is_decoded_to_the_same() -> None:
    assert Event.decode(EVENT.encode()) == EVENT


def test_data_may_be_left_out() -> None:
    assert Event.decode(b'{"engine_id": "e", "event": "started"}') == Event("e", "started", {})


@pytest.mark.parametrize(
    ("body", "clue"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff", ""),
        (b"[]", "object"),
        (b'{"event": "processed"}', "engine_id"),
        (b'{"engine_id": "e"}', "event"),
        (b'{"engine_id": 7, "event": "processed"}', "engine_id"),
        (b'{"engine_id": "e", "event": null}', "event"),
        (b'{"engine_id": "e", "event": "processed", "data": []}', "data"),
        (b'{"engine_id": "e", "event": "processed", "urgent": true}', "urgent"),
    ],
)
def test_a_body_that_is_no_event_is_refused_with_its_reason(body: bytes, clue: str) -> None:
    with pytest.raises(InvalidEventError, match=rf"(?s)The body is no event.*{clue}.*Next: "):
        Event.decode(body)


def test_a_task_is_no_event_and_an_event_is_no_task() -> None:
    with pytest.raises(InvalidMessageError, match="no event"):
        Event.decode(Task("e", "process").encode())
    with pytest.raises(InvalidMessageError, match="no task"):
        Task.decode(EVENT.encode())


def test_data_without_a_form_in_json_is_refused() -> None:
    with pytest.raises(InvalidEventError, match=r"The event's data has no form in JSON.*Next: "):
        Event("e", "processed", {"x": object()}).encode()


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EVENT.event = "lost"  # type: ignore[misc]
