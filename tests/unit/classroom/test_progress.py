"""What the room's page shows, from the seats' reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmqlab.classroom import reports
from rmqlab.classroom.progress import Course, Progress
from rmqlab.course import NOTEBOOKS

SEATS = ["rmqlab-room-01", "rmqlab-room-02"]
COURSE = Course()
GUESS = next(iter(COURSE.questions))
BELOW = list(COURSE.cells)[list(COURSE.cells).index(GUESS) + 1]


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
    progress.note(SEATS[1], _report(BELOW, measured={GUESS: 6.2}))

    [shown] = progress.shown()["predicts"]
    assert shown["guesses"] == [5, "lost"]
    assert shown["measured"] == [6.2]
    assert not any(seat in json.dumps(progress.shown()["predicts"]) for seat in SEATS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b'{"cell": "\xff", "ok": true}',
        b"[]",
        b"{}",
        b'{"cell": []}',
        b'{"cell": {}, "ok": true}',
        _report("no such cell"),
    ],
)
def test_what_is_no_report_changes_nothing(body: bytes) -> None:
    progress = Progress(COURSE, SEATS)
    before = progress.shown()
    progress.note(SEATS[0], body)
    progress.note("a stranger", _report(GUESS, guess=1))
    progress.note(SEATS[0], _report(GUESS, guess=["not", "shown"]).replace(b'"ok": true', b'"ok": 1'))

    assert progress.shown()["predicts"] == before["predicts"]
    assert progress.shown()["seats"][0]["done"] == {}


@pytest.mark.parametrize("lesson", sorted(NOTEBOOKS.glob("0*.ipynb")), ids=lambda path: path.stem)
def test_what_answers_a_predict_is_told_below_it(lesson: Path) -> None:
    cells = json.loads(lesson.read_text())["cells"]
    order = {cell["id"]: number for number, cell in enumerate(cells)}
    answers = [
        (order[predict], number, compile(expression, predict, "eval"))
        for number, cell in enumerate(cells)
        for predict, expression in cell["metadata"].get(reports.MEASURED, {}).items()
    ]

    assert sorted(asked for asked, *_ in answers) == sorted(
        order[key] for key in COURSE.questions if key in order
    )
    assert all(asked < answered for asked, answered, _ in answers)


@pytest.mark.parametrize(
    ("source", "guess"),
    [
        ("guess = 8", 8),
        ("# mine\nguess = 8  # or so", 8),
        ("far_guess = (1, 2)", "(1, 2)"),
        ("no_guess = None", None),
        ("other_guess = 8", None),
        ("1 + 1", None),
    ],
)
def test_a_guess_is_what_its_cell_says(source: str, guess: object) -> None:
    assert reports._guess(source, {"guess": 8, "far_guess": (1, 2), "no_guess": None}) == guess
