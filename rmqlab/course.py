"""Where the lessons and their data are: in the clone, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).with_name("_course")  # pyproject.toml puts them there into the wheel
IS_INSTALLED = _INSTALLED.is_dir()
COURSE = _INSTALLED if IS_INSTALLED else Path(__file__).parents[1]
NOTEBOOKS, DATA = COURSE / "notebooks", COURSE / "data"
