"""Something that is done in another thread while a block runs."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from rmqlab.experiments import run_when

LIMIT_S = 10


def test_it_is_done_when_the_condition_holds_and_the_block_is_left_when_it_is_over() -> None:
    begun, done = threading.Event(), threading.Event()

    def act() -> str:
        done.set()
        threading.Event().wait(0.1)
        return "over"

    with run_when(act, when=begun.is_set) as outcome:
        assert not done.wait(0.05)
        begun.set()
        assert done.wait(LIMIT_S)

    assert outcome.result(0) == "over"


def test_nothing_is_done_if_the_block_ends_first() -> None:
    with run_when(lambda: pytest.fail("done"), when=lambda: False) as outcome:
        pass

    with pytest.raises(CancelledError):
        outcome.result(0)


def test_what_it_raises_is_raised_where_the_block_ends() -> None:
    with pytest.raises(ZeroDivisionError), run_when(lambda: 1 / 0, when=lambda: True) as outcome:
        outcome.exception(LIMIT_S)


def test_an_interrupted_block_leaves_no_thread() -> None:
    before = threading.active_count()

    with pytest.raises(KeyboardInterrupt), run_when(lambda: None, when=lambda: False):
        raise KeyboardInterrupt

    assert threading.active_count() == before
