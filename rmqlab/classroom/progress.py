"""How far each seat of a room has got, and what the room has guessed: from the seats' reports."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmqlab import course

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
    """

    def __init__(self, folder: Path = course.NOTEBOOKS) -> None:
        self.lessons: dict[str, str] = {}
        self.cells: dict[str, Cell] = {}
        self.questions: dict[str, str] = {}
        for path in sorted(folder.glob("[0-9]*.ipynb")):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            self._read(path.name[:2], cells)

    def _read(self, lesson: str, cells: list[dict[str, Any]]) -> None:
        heading = question = ""
        for cell in cells:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
                    heading = line
                    self.lessons.setdefault(lesson, line)
                asked = [part for part in text.split("\n\n") if part.startswith(PREDICT)]
                question = asked[-1].removeprefix(PREDICT).strip(": \n") if asked else question
            else:
                if re.match(r"\w*guess = None", text):
                    self.questions[cell["id"]] = question
                self.cells[cell["id"]] = Cell(lesson, heading)

    def size(self, lesson: str) -> int:
        """Return how many code cells a lesson has."""
        return sum(cell.lesson == lesson for cell in self.cells.values())


class Progress:
    """What the seats have reported until now; safe to use from several threads.

    Args:
        course: the lessons.
        seats: names of the room's seats, which are shown also before they report.
    """

    def __init__(self, course: Course, seats: list[str]) -> None:
        self._course, self._lock = course, threading.Lock()
        self._done: dict[str, set[str]] = {seat: set() for seat in seats}
        self._last: dict[str, tuple[str, bool]] = {}
        self._guesses: dict[str, dict[str, float | str]] = defaultdict(dict)
        self._measured: dict[str, dict[str, float | str]] = defaultdict(dict)

    def note(self, seat: str, body: bytes) -> None:
        """Take in a report; what is none is left out."""
        try:
            report = json.loads(body)
            cell, ok = report["cell"], report["ok"] is True
            guess, measured = report.get("guess"), dict(report.get("measured") or {})
            is_known = cell in self._course.cells and seat in self._done
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if not is_known:
            return
        with self._lock:
            self._last[seat] = (cell, ok)
            if ok:
                self._done[seat].add(cell)
            if cell in self._course.questions and _is_shown(guess):
                self._guesses[cell][seat] = guess
            for predict, value in measured.items():
                if _is_shown(value):
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
        counts: dict[str, int] = defaultdict(int)
        for cell in self._done[seat]:
            counts[self._course.cells[cell].lesson] += 1
        last, ok = self._last.get(seat, ("", True))
        return {
            "name": seat.rpartition("-")[2],
            "at": self._course.cells[last].heading if last else "",
            "lesson": self._course.cells[last].lesson if last else "",
            "ok": ok,
            "done": {lesson: round(100 * n / self._course.size(lesson)) for lesson, n in counts.items()},
        }


def _is_shown(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _order(value: float | str) -> tuple[bool, float, str]:
    """Order numbers by size, and strings behind them."""
    is_text = isinstance(value, str)
    return is_text, 0 if is_text else float(value), str(value)
