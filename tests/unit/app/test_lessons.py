"""Lessons as files: executed, normalized, reported on. No broker is needed here."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from rmqlab.app import lessons
from rmqlab.errors import LessonError

BAR = "for i in range(4):\n    print(f'\\r{i}/3', end='', flush=True)\nprint()\nprint('done')"


def _notebook(*cells: str, title: str = "Try it") -> nbformat.NotebookNode:
    code = [v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(cells)]
    return v4.new_notebook(cells=[v4.new_markdown_cell(f"# {title}\n\nmore", id="title"), *code])


def _write(folder: Path, notebook: nbformat.NotebookNode) -> Path:
    path = folder / "lesson.ipynb"
    nbformat.write(notebook, path)
    return path


def _stream(text: str) -> nbformat.NotebookNode:
    return v4.new_output("stream", name="stdout", text=text)


def test_metadata_that_differs_between_machines_is_taken_out() -> None:
    notebook = _notebook("pass")
    kept = {"tags": ["hide-cell"], "jupyter": {"source_hidden": True}}
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "venv-7"}, "language_info": {"version": "3.11.2"}, "x": 1}
    )
    notebook.cells[1].metadata = nbformat.from_dict(kept | {"execution": {"a": 1}, "collapsed": True})
    lessons.normalize(notebook)

    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.metadata for cell in notebook.cells] == [{}, kept]


@pytest.mark.parametrize("text", ["", "text", "{}", "[]", '{"cells": 1}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lesson.ipynb"
    path.write_text(text)

    with pytest.raises(LessonError, match=r"lesson\.ipynb is not a notebook.*Next: "):
        lessons.read_lesson(path)


def test_execution_gives_normalized_outputs_and_leaves_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, _notebook("1 + 1", BAR, "print('\\r 0%\\r    \\r', end='')"))
    before = path.read_bytes()
    executed: list[None] = []

    execution = lessons.execute(path, lambda: executed.append(None))

    assert execution.error == ""
    assert execution.seconds > 0
    assert len(executed) == 3
    _, first, second, third = execution.notebook.cells
    assert first.outputs[0].data["text/plain"] == "2"
    assert [output.text for output in second.outputs] == ["3/3\ndone\n"]
    assert third.outputs == []
    assert [first.execution_count, second.execution_count] == [1, 2]
    assert path.read_bytes() == before


def test_a_failure_names_its_cell_and_shows_no_output_of_an_earlier_execution(tmp_path: Path) -> None:
    notebook = _notebook("1 + 1", "1 / 0", "print('never')")
    for count, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = count
        cell.outputs = [_stream("old\n")]

    execution = lessons.execute(_write(tmp_path, notebook), lambda: None)

    assert execution.error == "code cell 2 raised ZeroDivisionError: division by zero"
    assert execution.notebook.cells[3].outputs == []
    assert execution.notebook.cells[3].execution_count is None


def test_a_kernel_that_dies_is_a_failure(tmp_path: Path) -> None:
    path = _write(tmp_path, _notebook("import os; os._exit(1)"))

    assert "lost its kernel" in lessons.execute(path, lambda: None).error


def test_a_cell_that_takes_too_long_is_a_failure(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lessons, "CELL_TIMEOUT_S", 1)
    path = _write(tmp_path, _notebook("pass", "import threading; threading.Event().wait()"))

    assert lessons.execute(path, lambda: None).error == "code cell 2 took longer than 1 s"


def test_the_report_lists_each_lesson_and_needs_no_network(tmp_path: Path) -> None:
    passed = lessons.Execution(tmp_path / "a.ipynb", _notebook("pass", title="Do <this>"), 2.4, "")
    failed = lessons.Execution(tmp_path / "b.ipynb", _notebook("pass"), 1.0, "raised <X>")

    index = lessons.write_report([passed, failed], tmp_path / "report")

    text = index.read_text(encoding="utf-8")
    assert "Do &lt;this&gt;" in text
    assert "raised &lt;X&gt;" in text
    assert text.count("passed") == 1
    assert 'src="http' not in text
    for name in ("a.html", "b.html"):
        assert name in text
        page = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert not re.search(r"""(src=|from |import\()\s*["']https?:""", page)
