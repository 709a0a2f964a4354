"""How programs end that are broken on purpose."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from rmqlab.errors import BrokerError
from rmqlab.experiments import ExitsConfig, observe_exits


@pytest.fixture
def closed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def broker(closed: threading.Event) -> SimpleNamespace:
    return SimpleNamespace(close_connections=closed.set, version="4.3.6")


def test_programs_die_return_or_go_on(broker, closed) -> None:
    broken = threading.Event()

    def die() -> None:
        broken.wait(10)
        raise ConnectionResetError("gone")

    programs = {"dies": die, "returns": lambda: broken.wait(10), "goes on": lambda: closed.wait(10)}
    result = observe_exits(
        broker, ExitsConfig.quick(programs=programs, faults={"break": broken.set}, timeout_s=0.3)
    )
    found = result.frame().set_index("program")

    assert found["outcome"].to_dict() == {name: name for name in programs}
    assert found["error"].to_dict() == {"dies": "ConnectionResetError", "returns": "", "goes on": ""}
    assert found["after_s"].notna().to_dict() == {"dies": True, "returns": True, "goes on": False}


def test_a_program_that_nothing_ends_is_an_error(broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqlab.experiments.exits.END_TIMEOUT_S", 0.05)
    for_ever = threading.Event()

    with pytest.raises(BrokerError, match="Still runs: stubborn"):
        observe_exits(broker, ExitsConfig(programs={"stubborn": lambda: for_ever.wait(10)}, timeout_s=0))
    for_ever.set()


def test_programs_are_ended_when_their_fault_cannot_happen(broker, closed) -> None:
    def fail() -> None:
        raise OSError("no such fault")

    with pytest.raises(OSError, match="no such fault"):
        observe_exits(
            broker, ExitsConfig(programs={"program": lambda: closed.wait(10)}, faults={"fault": fail})
        )

    assert closed.is_set()
