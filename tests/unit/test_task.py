"""Tasks on the wire."""

from __future__ import annotations

import json

import pytest

from rmqlab.engine import Task
from rmqlab.errors import InvalidTaskError

DEEP = b'{"engine_id": "e", "action": "a", "data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    "task",
    [
        Task("engine-123", "process"),
        Task("engine-123", "process", {"param": "value"}),
        Task("", "", {}),
        Task("Motör-β", "prüfen", {"text": 'quote " backslash \\ newline \n nul \0 \U0001f680'}),
        Task("e", "a", {"list": [1, 2.5, True, None, "x"], "nested": {"deeper": {"deepest": []}}}),
        Task("e", "a", {"big": 2**60, "negative": -1, "tiny": 1e-300}),
    ],
)
def test_a_task_comes_back_as_it_was_sent(task: Task) -> None:
    assert Task.decode(task.encode()) == task


def test_a_task_is_a_json_object_on_the_wire() -> None:
    body = Task("engine-123", "process", {"param": "value"}).encode()

    assert json.loads(body) == {"engine_id": "engine-123", "action": "process", "data": {"param": "value"}}


def test_data_may_be_left_out() -> None:
    assert Task.decode(b'{"engine_id": "e", "action": "a"}') == Task("e", "a", {})


@pytest.mark.parametrize(
    ("body", "clue"),
    [
        (b'{"action": "a"}', "engine_id"),
        (b'{"engine_id": "e"}', "action"),
        (b'{"engine_id": 7, "action": "a"}', "engine_id"),
        (b'{"engine_id": "e", "action": null}', "action"),
        (b'{"engine_id": "e", "action": "a", "data": [1]}', "data"),
        (b'{"engine_id": "e", "action": "a", "data": "x"}', "data"),
        (b'{"engine_id": "e", "action": "a", "priority": 1}', "priority"),
    ],
)
def test_a_wrong_field_is_named(body: bytes, clue: str) -> None:
    with pytest.raises(InvalidTaskError, match=clue):
        Task.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"42",
        b"\xff\xfe",
        b'{"engine_id": "\xff", "action": "a"}',
        b'{"engine_id": "\\ud800", "action": "a"}',
        b'{"engine_id": "e", "action": "a", "data": {"x": 1e999}}',
        b'{"engine_id": "e", "action": "a"} trailing',
        DEEP,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_any_other_body_is_refused_with_a_next_step(body: bytes) -> None:
    with pytest.raises(InvalidTaskError, match=r"^The body is no task \(.+\)\. Next: "):
        Task.decode(body)


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, "\ud800"], ids=["object", "tuple as key", "lone surrogate"]
)
def test_data_without_a_form_in_json_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(InvalidTaskError, match="Next: "):
        Task("e", "a", {"x": value}).encode()


def test_data_that_contains_itself_is_refused_before_it_is_sent() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(InvalidTaskError, match="Next: "):
        Task("e", "a", {"x": loop}).encode()


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Task("e", "a").engine_id = "other"


def test_tasks_do_not_share_their_data() -> None:
    assert Task("e", "a").data is not Task("e", "a").data
