"""What is broken for the time of a block: it is mended, whatever happens meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

from rmqlab.broker import Fault, Outage
from rmqlab.broker import _outage as module
from rmqlab.broker._outage import undisturbed


class Thing:
    """Something that can be broken, and that takes a moment over it."""

    def __init__(self) -> None:
        self.is_broken = False
        self.was_broken = False
        self.mended = threading.Event()

    def fault(self) -> Fault:
        return Fault("break", self._break, self._mend)

    def _break(self) -> None:
        time.sleep(0.001)
        self.is_broken = self.was_broken = True

    def _mend(self) -> None:
        self.is_broken = False
        self.mended.set()


def _raise_at(number: int) -> Any:
    """Give a trace function that interrupts the main thread at so-many-th line of the module."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != module.__file__:
            return None
        # Before its first line, `__exit__` can do nothing about an interrupt.
        if event == "line" and frame.f_lineno != Fault.__exit__.__code__.co_firstlineno + 1:
            count += 1
            if count == number:
                raise KeyboardInterrupt
        return trace

    return trace


def _interrupt_at(number: int, thing: Thing) -> bool:
    """Break and mend with an interrupt at a line; say whether there was such a line."""
    before = sys.gettrace()
    sys.settrace(_raise_at(number))
    try:
        with thing.fault():
            assert thing.is_broken
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_at_any_line_leaves_nothing_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEGIN_TIMEOUT_S", 0.05)
    number = 1
    while True:
        thing = Thing()
        was_interrupted = _interrupt_at(number, thing)
        assert thing.mended.wait(5) or not thing.was_broken, f"line {number}"
        assert not thing.is_broken, f"line {number}"
        if not was_interrupted:
            break
        number += 1

    assert number > 10


def test_an_outage_tells_when_it_began_and_ended() -> None:
    with Thing().fault() as outage:
        assert 0 < outage.down_ns <= time.monotonic_ns()
        assert outage.up_ns == 0
        assert 0 <= outage.lasted_s < 5

    assert outage.fault == "break"
    assert outage.up_ns >= outage.down_ns
    assert outage.lasted_s == (outage.up_ns - outage.down_ns) / 1e9
    assert Outage("kill", 1_000_000_000, 3_500_000_000).lasted_s == 2.5


def test_what_fails_as_it_begins_is_told_and_mended() -> None:
    mended = []

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), Fault("break", fail, lambda: mended.append(1)):
        raise AssertionError

    assert mended


def test_work_that_is_undisturbed_gives_and_raises_what_it_does() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert undisturbed(lambda: 7) == 7
    with pytest.raises(ValueError, match="no"):
        undisturbed(fail)
