"""A reader's own copy of the lessons, where the package was installed and not cloned."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat.sign import NotebookNotary

from rmqlab import course
from rmqlab.errors import LessonError

# A lesson is edited by its reader: what differs belongs to a version of the package.
PREFIX = "rmqlab-"


def provide_course(folder: Path) -> Path:
    """Return the folder that holds `notebooks/` and `data/`: the clone, or a copy made here.

    The copy of a version is made once, and never written to again: what its reader changes stays.
    Another version's lessons come beside it. The notebooks of a new copy are trusted, so that
    JupyterLab shows all that they show.

    Args:
        folder: where the copy is made, if there is no clone.

    Raises:
        LessonError: there is something else of that name, or the folder cannot be written to.
    """
    if not course.IS_INSTALLED:
        return course.COURSE
    copy = folder / f"{PREFIX}{version('rmqlab')}"
    if (copy / "notebooks").is_dir():
        return copy
    try:
        # Whole or not at all: whoever is interrupted finds no half of a course.
        with tempfile.TemporaryDirectory(prefix=f".{PREFIX}", dir=folder) as building:
            new = Path(building) / copy.name
            new.mkdir()
            for part in (course.NOTEBOOKS, course.DATA):
                shutil.copytree(part, new / part.name)
            new.rename(copy)
    except OSError as error:
        raise LessonError(
            f"The lessons cannot be copied to {copy} ({error.strerror}). "
            "Next: move away what is there, or start in a folder of your own"
        ) from error
    notary = NotebookNotary()
    for path in (copy / "notebooks").glob("*.ipynb"):
        notary.sign(nbformat.read(path, as_version=4))
    return copy
