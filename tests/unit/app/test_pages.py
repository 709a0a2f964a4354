"""Where the lab serves the broker's pages: a folder that goes with it, or with the next lab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path

from rmqlab.app.pages import PREFIX, Pages, entry


def test_the_tile_is_there_while_a_lab_is() -> None:
    assert not entry()["launcher_entry"]["enabled"]
    with Pages(Future()):
        folder = Path(entry()["unix_socket"]).parent
        assert entry()["launcher_entry"]["enabled"]
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert not entry()["launcher_entry"]["enabled"]


def test_what_a_killed_lab_left_goes_and_nothing_else(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, alive, other = (
        tmp_path / name for name in (f"{PREFIX}{ended.pid}-x", f"{PREFIX}{os.getpid()}-x", f"{PREFIX}mine-x")
    )
    for folder in (left, alive, other):
        folder.mkdir()
    with Pages(Future()):
        assert [folder.exists() for folder in (left, alive, other)] == [False, True, True]
