"""Rehearse the lessons as readers treat them: twice, interrupted, and with what they claim taken away.

It takes minutes, so it is no part of the tests: `make rehearse` runs it.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

from rmqlab.broker import Broker

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MUTATIONS = tomllib.loads((Path(__file__).parent / "mutations.toml").read_text(encoding="utf-8"))["mutation"]
MEASURED = "nbval-ignore-output"
CELL_TIMEOUT_S = 120
LESSON_TIMEOUT_S = 300
PAUSE_S = 7  # over three times the heartbeat of an impatient broker
FAILED = 1  # pytest's exit code when it ran, and something failed
# What a mutation raises that names something that is not there: it says nothing of its claim.
MISTAKE = re.compile(
    r"^(?:Attribute|FileNotFound|Import|Key|ModuleNotFound|Name|Syntax|Type)Error: ", re.MULTILINE
)
COLOR = re.compile(r"\x1b\[[\d;]*m")

pytestmark = [pytest.mark.rehearsal, pytest.mark.broker]
each_lesson = pytest.mark.parametrize("kernel", PATHS, ids=lambda path: path.stem, indirect=True)


class Kernel:
    """A lesson and a kernel to run its cells in, in any order and as often as one likes."""

    def __init__(self, path: Path) -> None:
        self.lesson = nbformat.read(path, as_version=4)
        self.client = NotebookClient(
            self.lesson,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            coalesce_streams=True,
        )
        self.stored = {index: _compared(cell) for index, cell in enumerate(self.lesson.cells)}

    def code(self) -> Iterator[tuple[int, NotebookNode]]:
        yield from ((index, cell) for index, cell in enumerate(self.lesson.cells) if cell.cell_type == "code")

    def import_all(self) -> None:
        """Import what lessons import: pandas cannot be imported again when that was interrupted."""
        cell = nbformat.v4.new_code_cell("import matplotlib.pyplot, pandas\nfrom rmqlab import experiments")
        self.client.execute_cell(cell, 0)

    def run(self, index: int) -> None:
        """Run a cell, and see that it gives what is stored where that is compared."""
        self.client.execute_cell(self.lesson.cells[index], index)
        self.check(index)

    def check(self, index: int) -> None:
        """See that a cell that was run gave what is stored, where that is compared."""
        cell = self.lesson.cells[index]
        if MEASURED not in cell.metadata.get("tags", []):
            assert _compared(cell) == self.stored[index], cell.source

    def has_open_connection(self) -> bool:
        """Return whether a variable of the lesson holds a connection, or a client with one, that is open."""
        look = "any(getattr(each, 'is_open', None) is True for each in list(globals().values()))"
        cell = self.client.execute_cell(nbformat.v4.new_code_cell(look), 0)
        return bool(cell.outputs[0].data["text/plain"] == "True")

    def interrupt(self, index: int, after_s: float) -> bool:
        """Run a cell, and interrupt it; return whether that came before its end."""
        timer = threading.Timer(after_s, lambda: asyncio.run(self.client.km.interrupt_kernel()))
        timer.start()
        try:
            self.client.execute_cell(self.lesson.cells[index], index)
        except CellExecutionError as error:
            if error.ename != "KeyboardInterrupt":
                raise
            return True
        except CellTimeoutError:
            # ipykernel sends no reply when the interrupt meets it between the cell and the
            # reply. A kernel that is idle by now answers; one that hangs does not.
            self.client.execute_cell(nbformat.v4.new_code_cell("None"), index)
            return True
        finally:
            timer.cancel()
            timer.join()
        return False


def _compared(cell: NotebookNode) -> list[str]:
    """Return what nbval compares of a cell's outputs."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts.append(str(output.get("text", data.get("text/plain", output.get("evalue", "")))))
    return ["".join(texts)]


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = Kernel(request.param)
    with kernel.client.setup_kernel():
        yield kernel


@each_lesson
def test_it_can_be_run_twice_in_one_kernel(kernel: Kernel) -> None:
    for _ in range(2):
        for index, _ in kernel.code():
            kernel.run(index)


@each_lesson
@pytest.mark.parametrize("after_s", [0.25, 1.0])
def test_any_cell_can_be_interrupted_and_run_again(kernel: Kernel, after_s: float) -> None:
    kernel.import_all()
    for index, _ in kernel.code():
        if kernel.interrupt(index, after_s):
            kernel.run(index)
        else:  # it was quicker than that
            kernel.check(index)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_reader_may_pause_while_a_connection_is_open(
    path: Path, impatient: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in impatient.environment().items():
        monkeypatch.setenv(name, value)
    kernel = Kernel(path)
    pauses = 0
    with kernel.client.setup_kernel():
        for index, _ in kernel.code():
            kernel.run(index)
            if kernel.has_open_connection():
                time.sleep(PAUSE_S)
                pauses += 1
    if path.stem.startswith("00"):  # its connection lives from its beginning to its end
        assert pauses > len(list(kernel.code())) / 2


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: f"{each['lesson'][:2]}: {each['claim']}")
def test_it_fails_without_what_it_claims(mutation: dict[str, str], tmp_path: Path) -> None:
    lesson = nbformat.read(ROOT / "notebooks" / f"{mutation['lesson']}.ipynb", as_version=4)
    (cell,) = [each for each in lesson.cells if each.cell_type == "code" and mutation["old"] in each.source]
    cell.source = cell.source.replace(mutation["old"], mutation["new"])
    mutant = tmp_path / "mutant.ipynb"
    nbformat.write(lesson, mutant)
    shutil.copytree(ROOT / "notebooks" / "programs", tmp_path / "programs")  # what a lesson takes home

    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(mutant)),
        ],
        capture_output=True,
        text=True,
        timeout=LESSON_TIMEOUT_S,
        check=False,
    )

    assert result.returncode == FAILED, result.stdout[-2000:]
    assert not MISTAKE.search(COLOR.sub("", result.stdout)), result.stdout[-2000:]
