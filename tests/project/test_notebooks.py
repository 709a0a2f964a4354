"""The lessons as they are stored: how they are laid out, and what their outputs must not show."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from itertools import takewhile
from pathlib import Path

import nbformat
import pytest

from rmqlab.app import lessons

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
TAGS = {
    "nbval-ignore-output",
    "nbval-check-output",
    "nbval-skip",
    "raises-exception",
    "hide-cell",
    "hide-input",
}
SETUP_LINES = 6
CELL_LINES = 20
UNWANTED = {
    "a password": r"amqps?://[^\s:/@]*:(?!\*\*\*@)[^\s@]+@",
    "a port": r"(?:127\.0\.0\.1|localhost|\[::1\]):\d+",
    "a path": r"(?<![\w.])/(?:tmp|work|root|home|usr/lib)/",
}
HEADINGS = ("## Summary", "## In practice", "## Further reading", "## Your turn")

each_notebook = pytest.mark.parametrize("lesson", PATHS, ids=lambda path: path.stem, indirect=True)
# An appendix, such as A1, shows a comparison, and has no exercises. Nor has the playground.
LESSONS = [path for path in PATHS if path.stem[0].isdigit()]
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem, indirect=True)


@pytest.fixture
def lesson(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return _read(request.param)


def _read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _code(lesson: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in lesson.cells if cell.cell_type == "code"]


def _tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _shown(output: nbformat.NotebookNode) -> str:
    """Return all the text of an output that a reader can see."""
    texts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    texts += [str(data) for kind, data in output.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join(texts)


def _markdown(lesson: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")


@each_notebook
def test_it_was_executed_once_from_top_to_bottom(lesson) -> None:
    counts = [cell.execution_count for cell in _code(lesson)]

    assert counts == list(range(1, len(counts) + 1))
    assert counts


@each_notebook
def test_its_tags_are_known(lesson) -> None:
    assert {tag for cell in lesson.cells for tag in _tags(cell)} <= TAGS


@each_notebook
def test_the_cells_that_say_so_raise_and_no_others(lesson) -> None:
    # nbval is content when a cell that says so raises nothing.
    wrong = [
        cell.source
        for cell in _code(lesson)
        if any(output.output_type == "error" for output in cell.outputs)
        != ("raises-exception" in _tags(cell))
    ]

    assert wrong == []


@each_notebook
@pytest.mark.parametrize("what", UNWANTED)
def test_no_output_shows(lesson, what: str) -> None:
    found = [
        match[0]
        for cell in _code(lesson)
        for output in cell.outputs
        for match in re.finditer(UNWANTED[what], _shown(output))
    ]

    assert found == []


@each_notebook
def test_no_compared_cell_writes_to_standard_error(lesson) -> None:
    writing = [
        cell.source
        for cell in _code(lesson)
        if "nbval-ignore-output" not in _tags(cell)
        and any(output.get("name") == "stderr" for output in cell.outputs)
    ]

    assert writing == []


@each_notebook
def test_it_starts_with_its_one_title_and_what_a_reader_will_do_learn_and_need(lesson) -> None:
    first = takewhile(lambda cell: cell.cell_type != "code", lesson.cells)
    start = "\n".join(cell.source for cell in first)

    assert start.startswith("# ")
    for words in ("You'll learn", "You'll need", "Time"):
        assert words in start
    assert len(re.findall(r"^# \S", _markdown(lesson), re.MULTILINE)) == 1


@each_lesson
@pytest.mark.parametrize("heading", HEADINGS)
def test_it_has_the_parts_of_a_lesson(lesson, heading: str) -> None:
    headings = [line.strip() for line in _markdown(lesson).splitlines() if line.startswith("#")]

    assert any(re.match(rf"{heading}\b", each) for each in headings)


def test_all_lessons_are_set_up_in_the_same_way() -> None:
    cells = {path.stem: _code(_read(path))[0] for path in LESSONS}

    assert len({cell.source for cell in cells.values()}) == 1, sorted(cells)
    for cell in cells.values():
        assert len(cell.source.splitlines()) <= SETUP_LINES


@each_lesson
def test_its_solutions_are_folded_and_check_themselves(lesson) -> None:
    solutions = [cell for cell in _code(lesson) if "hide-cell" in _tags(cell)]

    assert solutions
    for solution in solutions:
        assert solution.metadata.get("jupyter", {}).get("source_hidden") is True
        assert re.search(r"^\s*assert\b", solution.source, re.MULTILINE), solution.source


@each_notebook
def test_a_code_cell_fits_the_screen(lesson) -> None:
    long = [cell.source for cell in _code(lesson) if len(cell.source.splitlines()) >= CELL_LINES]

    assert long == []


@each_notebook
def test_what_is_measured_is_followed_by_a_checked_cell(lesson) -> None:
    checked = False
    for cell in reversed(_code(lesson)[:-1]):  # the last one cleans up
        if "nbval-ignore-output" in _tags(cell):
            assert checked, f"nothing after this cell is checked:\n{cell.source}"
        elif "nbval-skip" not in _tags(cell) and (cell.outputs or "assert" in cell.source):
            checked = True


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_a_valid_notebook_and_normalized(path: Path) -> None:
    stored = path.read_text(encoding="utf-8")
    lesson = nbformat.reads(stored, as_version=4)  # with another id for a cell that has the id of one before
    nbformat.validate(lesson)
    lessons.normalize(lesson)

    assert nbformat.writes(lesson) + "\n" == stored


def test_lessons_share_no_cell_but_the_first_and_the_last() -> None:
    sources = Counter(source for path in PATHS for source in _own_cells(path))

    assert [source for source, count in sources.items() if count > 1] == []


def _own_cells(path: Path) -> set[str]:
    """Return the sources of a lesson's cells that say more than one line can."""
    sources = [cell.source.strip() for cell in _code(_read(path))[1:-1]]
    return {source for source in sources if len(source.splitlines()) > 1}


def test_each_mutation_has_its_cell() -> None:
    stored = (Path(__file__).parent / "mutations.toml").read_text(encoding="utf-8")
    cells = {path.stem: _code(nbformat.read(path, as_version=4)) for path in PATHS}

    for mutation in tomllib.loads(stored)["mutation"]:
        places = [cell for cell in cells[mutation["lesson"]] if mutation["old"] in cell.source]
        assert len(places) == 1, mutation
