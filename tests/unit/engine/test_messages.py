"""Tasks and events as bodies of messages: written, read, and refused."""

from __future__ import annotations

import json

import pytest

from rmqlab.engine import Event, Task
from rmqlab.errors import InvalidMessageError

DATA = {"list": [1, 2.5, True, None, "x"], "nested": {"deeper": {}}}
DEEP = b'{"engine_id": "e", "action": "a", "data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(("kind", "field"), [(Task, "action"), (Event, "event")])
def test_a_message_is_a_json_object_and_comes_back_as_it_was_sent(kind, field: str) -> None:
    message = kind("Motör-β", "prüfen", DATA)

    assert json.loads(message.encode()) == {"engine_id": "Motör-β", field: "prüfen", "data": DATA}
    assert kind.decode(message.encode()) == message


@pytest.mark.parametrize(
    ("body", "clue"),
    [
        (b'{"action": "a"}', "engine_id"),
        (b'{"engine_id": "e"}', "action"),
        (b'{"engine_id": 7, "action": "a"}', "engine_id"),
        (b'{"engine_id": "e", "action": "a", "priority": 1}', "priority"),
        (b'{"engine_id": "\xff", "action": "a"}', "utf-8"),
        (b"hello", "JSON"),
        (DEEP, "recursion"),
    ],
    ids=lambda each: repr(each[:40]),
)
def test_a_body_that_is_no_task_or_event_is_refused_with_its_reason(body: bytes, clue: str) -> None:
    for kind in (Task, Event):
        as_event = kind is Event
        said = clue.replace("action", "event") if as_event else clue
        name = kind.__name__.lower()
        with pytest.raises(InvalidMessageError, match=rf"(?s)^The body is no {name} \(.*{said}.*\)\. Next: "):
            kind.decode(body.replace(b'"action"', b'"event"') if as_event else body)


def test_a_task_is_no_event_and_data_may_be_left_out() -> None:
    body = b'{"engine_id": "e", "action": "a"}'

    assert Task.decode(body) == Task("e", "a", {})
    assert Task("e", "a").data is not Task("e", "a").data
    with pytest.raises(InvalidMessageError, match="no event"):
        Event.decode(body)


@pytest.mark.parametrize("value", [object(), "\ud800"], ids=["object", "surrogate"])
def test_data_without_a_form_in_json_is_refused_before_it_is_sent(value: object) -> None:
    loop: list[object] = [value]
    loop.append(loop)

    for data in ({"x": value}, {"x": loop}):
        with pytest.raises(InvalidMessageError, match="Next: "):
            Task("e", "a", data).encode()
