"""The tile of the broker's pages: only a lab has it."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from rmqlab.app.pages import Pages, entry


def test_the_tile_is_there_in_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not entry()["launcher_entry"]["enabled"]
    monkeypatch.setattr(Pages, "broker", Future())
    assert entry()["launcher_entry"]["enabled"]
