"""How far each seat of a room has got, and what the room has guessed: from the seats' reports."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rmqlab import course
from rmqlab.classroom.reports import Report

PREDICT = "**Predict**"


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell of a lesson.

    Attributes:
        lesson: the lesson's number, such as `01`.
        heading: the last heading above it.
    """

    lesson: str
    heading: str


class Course:
    """The lessons, as far as a room's page needs to know them.

    Attributes:
        lessons: the title of each lesson by its number, in their order.
        cells: each code cell by its id.
        questions: the question of each Predict by the id of its guess cell, in their order.
        sizes: how many code cells each lesson has.
    """

    def __init__(self, folder: Path = course.NOTEBOOKS) -> None:
        self.lessons: dict[str, str] = {}
        self.cells: dict[str, Cell] = {}
        self.questions: dict[str, str] = {}
        for path in sorted(folder.glob("[0-9]*.ipynb")):
            lesson, heading, question = path.name[:2], "", ""
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                text = "".join(cell["source"])
                if cell["cell_type"] == "code":
                    if re.match(r"\w*guess = None", text):
                        self.questions[cell["id"]] = question
                    self.cells[cell["id"]] = Cell(lesson, heading)
                    continue
                for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
                    self.lessons.setdefault(lesson, heading)
                for part in text.split("\n\n"):
                    if part.startswith(PREDICT):
                        question = part.removeprefix(PREDICT).strip(": \n")
        self.sizes = Counter(cell.lesson for cell in self.cells.values())


class Progress:
    """What the seats have reported until now; safe to use from several threads.

    Args:
        course: the lessons.
        seats: names of the room's seats, which are shown also before they report.
    """

    def __init__(self, course: Course, seats: list[str]) -> None:
        self._course, self._lock = course, threading.Lock()
        self._done: dict[str, set[str]] = {seat: set() for seat in seats}
        self._last: dict[str, Report] = {}
        self._guesses: dict[str, dict[str, float | str]] = defaultdict(dict)
        self._measured: dict[str, dict[str, float | str]] = defaultdict(dict)

    def note(self, seat: str, body: bytes) -> None:
        """Take in a report; what is none is left out."""
        try:
            report = msgspec.json.decode(body, type=Report)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if report.cell not in self._course.cells or seat not in self._done:
            return
        with self._lock:
            self._last[seat] = report
            if report.ok:
                self._done[seat].add(report.cell)
            if report.cell in self._course.questions and report.guess is not None:
                self._guesses[report.cell][seat] = report.guess
            for predict, value in report.measured.items():
                if value is not None:
                    self._measured[predict][seat] = value

    def shown(self) -> dict[str, Any]:
        """Return what the page shows; a guess is shown without its seat."""
        with self._lock:
            return {
                "lessons": self._course.lessons,
                "seats": [self._shown_seat(seat) for seat in self._done],
                "predicts": [
                    {
                        "lesson": self._course.cells[predict].lesson,
                        "question": question,
                        "guesses": sorted(self._guesses[predict].values(), key=_order),
                        "measured": sorted(self._measured[predict].values(), key=_order),
                    }
                    for predict, question in self._course.questions.items()
                    if self._guesses.get(predict)
                ],
            }

    def _shown_seat(self, seat: str) -> dict[str, Any]:
        counts = Counter(self._course.cells[cell].lesson for cell in self._done[seat])
        last = self._last.get(seat)
        at = self._course.cells[last.cell] if last else Cell("", "")
        return {
            "name": seat.rpartition("-")[2],
            "at": at.heading,
            "lesson": at.lesson,
            "ok": last.ok if last else True,
            "done": {lesson: round(100 * n / self._course.sizes[lesson]) for lesson, n in counts.items()},
        }


def _order(value: float | str) -> tuple[bool, float | str]:
    """Order numbers by size, and strings behind them."""
    return isinstance(value, str), value
