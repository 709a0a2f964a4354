"""Grids of runs, and what repeats have in common."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pandas as pd
import pytest

from rmqlab.measure import run_grid, summarize_repeats


def test_each_combination_is_run_and_repeats_are_interleaved() -> None:
    seen: list[tuple[int, str]] = []

    def run(size: int, kind: str) -> dict[str, Any]:
        seen.append((size, kind))
        return {"product": f"{size}{kind}"}

    frame = run_grid(run, {"size": [1, 2], "kind": ["a", "b"]}, repeats=2, progress=False)

    cells = [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert seen == cells * 2
    assert list(frame.columns) == ["size", "kind", "repeat", "product", "error"]
    assert list(frame["repeat"]) == [0] * 4 + [1] * 4
    assert list(frame["product"]) == ["1a", "1b", "2a", "2b"] * 2
    assert set(frame["error"]) == {""}


def test_a_cell_that_fails_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def run(size: int) -> dict[str, Any]:
        if size == 2:
            raise RuntimeError("too much")
        return {"rate": 10.0 * size, "count": size}

    frame = run_grid(run, {"size": [1, 2, 3]}, progress=False)

    assert list(frame["error"]) == ["", "RuntimeError: too much", ""]
    assert list(frame["rate"].isna()) == [False, True, False]
    assert frame["rate"].sum() == 40
    assert "the cell {'size': 2} failed: RuntimeError: too much" in caplog.text


def test_an_interrupt_that_a_thread_met_ends_a_grid() -> None:
    outcome: Future[dict[str, Any]] = Future()
    outcome.set_exception(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        run_grid(lambda size: outcome.result(), {"size": [1, 2]}, progress=False)


def test_repeats_are_summarized_with_median_and_spread() -> None:
    frame = pd.DataFrame({"size": [1, 2, 1, 2, 1, 2], "rate_msg_s": [10.0, 5.0, 30.0, None, 11.0, 7.0]})
    summary = summarize_repeats(frame, by="size", values=["rate_msg_s"])

    assert list(summary.columns) == ["size", "runs", "rate_msg_s", "rate_msg_s_low", "rate_msg_s_high"]
    assert summary.to_numpy().tolist() == [[1, 3, 11, 10, 30], [2, 2, 6, 5, 7]]
