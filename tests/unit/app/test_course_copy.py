"""The reader's copy of the lessons: made once, whole, and never written to again."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from helpers import assert_one_sentence
from nbformat import v4
from nbformat.sign import NotebookNotary

from rmqlab import course
from rmqlab.app import course_copy
from rmqlab.app.course_copy import provide_course
from rmqlab.errors import LessonError

LESSON = "00_start_here.ipynb"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where the package was installed with one lesson and its data."""
    shipped = tmp_path / "shipped"
    for part in ("notebooks", "data"):
        (shipped / part).mkdir(parents=True)
        monkeypatch.setattr(course, part.upper(), shipped / part)
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 + 1")]), shipped / "notebooks" / LESSON)
    (shipped / "data" / "tasks.csv").write_text("task\n")
    monkeypatch.setattr(course, "IS_INSTALLED", True)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    here = tmp_path / "here"
    here.mkdir()
    return here


def _release(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_copy, "version", lambda _: number)


def test_in_a_clone_the_lessons_are_those_of_the_clone(tmp_path: Path) -> None:
    assert provide_course(tmp_path) == course.COURSE
    assert not list(tmp_path.iterdir())


def test_a_copy_is_whole_and_trusted_and_what_its_reader_changes_stays(installed: Path) -> None:
    copy = provide_course(installed)

    assert (copy / "data" / "tasks.csv").read_text() == "task\n"
    lesson = copy / "notebooks" / LESSON
    assert NotebookNotary().check_signature(nbformat.read(lesson, as_version=4))
    lesson.write_text("mine")
    assert provide_course(installed) == copy
    assert lesson.read_text() == "mine"
    assert list(installed.iterdir()) == [copy]


def test_the_lessons_of_another_version_come_beside(installed: Path, monkeypatch) -> None:
    _release("1.0", monkeypatch)
    (provide_course(installed) / "notebooks" / LESSON).write_text("mine")
    _release("1.1", monkeypatch)
    provide_course(installed)

    assert sorted(each.name for each in installed.iterdir()) == ["rmqlab-1.0", "rmqlab-1.1"]
    assert (installed / "rmqlab-1.0" / "notebooks" / LESSON).read_text() == "mine"


def test_what_is_no_copy_is_left_alone(installed: Path, monkeypatch) -> None:
    _release("1.0", monkeypatch)
    (installed / "rmqlab-1.0").write_text("something else")

    with pytest.raises(LessonError) as error:
        provide_course(installed)
    assert_one_sentence(str(error.value), "cannot be copied to .*rmqlab-1.0", next_step="move away")
    assert (installed / "rmqlab-1.0").read_text() == "something else"


def test_a_copy_that_fails_leaves_nothing(installed: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(LessonError) as error:
        provide_course(installed)
    assert_one_sentence(str(error.value), "No space left on device", next_step="folder of your own")
    assert not list(installed.iterdir())
