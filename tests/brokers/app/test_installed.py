"""The package as it comes from PyPI: a wheel, in an empty folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from helpers import read_until, run_command, running

from rmqlab.broker import Broker
from rmqlab.course import COURSE

LESSON = "notebooks/01_queue_engine_tasks.ipynb"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's own content, for `PYTHONPATH`; what it depends on is here already."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, COURSE)
    subprocess.run((*pip, *build), check=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    subprocess.run(
        (*pip, "install", "--no-deps", "--target", folder / "packages", wheel), check=True, timeout=120
    )
    return folder / "packages"


def test_the_lab_opens_a_copy_of_the_lessons_which_is_trusted(
    broker: Broker, packages: Path, tmp_path: Path
) -> None:
    here = tmp_path / "empty"
    here.mkdir()
    settings = {"PYTHONPATH": str(packages), "JUPYTER_DATA_DIR": str(tmp_path / "jupyter")}
    command = ("-m", "rmqlab", "lab", "--no-browser", "--port", "0")
    with running(*command, stdin=subprocess.DEVNULL, cwd=here, **broker.environment(), **settings) as process:
        shown = read_until(process.stderr, "    http://").split()[-1]
        server, _, token = shown.partition("/lab/tree/notebooks/00_start_here.ipynb?token=")
        with urlopen(f"{server}/api/contents/{LESSON}?token={token}", timeout=30) as answer:
            cells = json.load(answer)["content"]["cells"]

    assert all(cell["metadata"]["trusted"] for cell in cells if cell["cell_type"] == "code")
    [copy] = here.iterdir()
    assert (copy / LESSON).is_file()


def test_a_lesson_runs_from_it(broker: Broker, packages: Path, tmp_path: Path) -> None:
    settings = broker.environment() | {"PYTHONPATH": str(packages)}
    lesson = packages / "rmqlab/_course/notebooks/00_start_here.ipynb"
    code, out, err = run_command("run", str(lesson), cwd=tmp_path, **settings)

    assert code == 0, err
    assert "Report:" in out
