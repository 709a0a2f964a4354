"""What the room's page shows, from the seats' reports."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from rmqlab.classroom import seat
from rmqlab.classroom.progress import Course, Progress

SEATS = ["rmqlab-room-01", "rmqlab-room-02"]
COURSE = Course()
GUESS = next(iter(COURSE.questions))
BELOW = next(key for key, cell in COURSE.cells.items() if cell.predict == GUESS and key != GUESS)


def _report(cell: str, *, ok: bool = True, **more: object) -> bytes:
    return json.dumps({"cell": cell, "ok": ok} | more).encode()


def test_every_predict_of_the_lessons_has_its_question() -> None:
    assert len(COURSE.questions) > 40
    assert all(COURSE.questions.values())
    assert next(iter(COURSE.lessons)) == "00"
    assert "_" not in COURSE.lessons["00"]


def test_a_seat_is_as_far_as_the_cells_that_it_has_run() -> None:
    progress = Progress(COURSE, SEATS)
    for cell in [key for key, each in COURSE.cells.items() if each.lesson == "00"]:
        progress.note(SEATS[0], _report(cell))
        progress.note(SEATS[0], _report(cell))  # once more
    progress.note(SEATS[1], _report(BELOW, ok=False))

    first, second = progress.shown()["seats"]
    assert (first["name"], first["done"], first["ok"]) == ("01", {"00": 100}, True)
    assert (second["done"], second["ok"], second["lesson"]) == ({}, False, COURSE.cells[BELOW].lesson)


def test_guesses_stand_beside_what_was_measured_and_without_names() -> None:
    progress = Progress(COURSE, SEATS)
    progress.note(SEATS[0], _report(GUESS, guess="lost"))
    progress.note(SEATS[1], _report(GUESS, guess=8))
    progress.note(SEATS[1], _report(GUESS, guess=5))  # thought again
    progress.note(SEATS[1], _report(BELOW, measured=6.2))

    [shown] = progress.shown()["predicts"]
    assert shown["guesses"] == [5, "lost"]
    assert shown["measured"] == [6.2]
    assert not any(seat in json.dumps(progress.shown()["predicts"]) for seat in SEATS)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"cell": []}', b'{"cell": {}, "ok": true}', _report("no such cell")],
)
def test_what_is_no_report_changes_nothing(body: bytes) -> None:
    progress = Progress(COURSE, SEATS)
    before = progress.shown()
    progress.note(SEATS[0], body)
    progress.note("a stranger", _report(GUESS, guess=1))
    progress.note(SEATS[0], _report(GUESS, guess=["not", "shown"]).replace(b'"ok": true', b'"ok": 1'))

    assert progress.shown()["predicts"] == before["predicts"]
    assert progress.shown()["seats"][0]["done"] == {}


@pytest.mark.parametrize(
    ("source", "result", "shares", "said"),
    [
        ("guess = 8", None, True, {"guess": 8}),
        ("guess = 8", None, False, {}),
        ("speed_guess = 8", None, True, {}),  # no such name in this kernel
        ("1 + 1", {"your guess": 8, "measured": 6.5}, False, {"measured": 6.5}),
        ("1 + 1", {"measured": (1, True)}, True, {"measured": "(1, True)"}),
        ("1 + 1", 2, True, {}),
    ],
)
def test_a_guess_is_told_by_who_agrees(source: str, result: object, shares: bool, said: dict) -> None:
    ran = SimpleNamespace(info=SimpleNamespace(raw_cell=source), result=result)

    assert seat._guess(ran, SimpleNamespace(user_ns={"guess": 8}), shares) == said
