"""A challenge is met by what was measured, and by nothing less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rmqlab.playground._challenges import CHALLENGES, Sample
from rmqlab.playground._system import Settings

STILL = Sample(
    time_s=0,
    settings=Settings(rate_msg_s=30, workers=3),
    ready=0,
    hands=(0, 0, 0),
    published_msg_s=30,
    done_msg_s=30,
    redelivered_msg_s=0,
    wait_median_ms=5,
    wait_p95_ms=20,
    high_ms=None,
    normal_ms=None,
    redelivered=0,
    lost=0,
    is_quiet=False,
    emptied=0,
    freezes=0,
    kills=(),
)


def _series(*changes: dict[str, Any], every_s: float = 0.25) -> list[Sample]:
    """Make samples that follow each other, each with some values of its own."""
    return [replace(STILL, time_s=number * every_s, **each) for number, each in enumerate(changes)]


LONG = [{}] * 60  # 15 s
MET = {
    "Let 100 tasks wait": _series({"ready": 100}),
    "Have the workers do all": _series({"ready": 120}, {"ready": 60}, {"ready": 1}),
    "Make one of three": _series({"hands": (20, 3, 0)}),
    "Three workers": _series(*LONG),
    "Let a task be delivered twice": _series({"redelivered": 1}),
    "Lose a task": _series({"lost": 1, "is_quiet": True}),
    "Make that impossible": _series({"kills": ((5, 2),), "lost": 2, "is_quiet": True}),
    "Let poison": _series({"redelivered_msg_s": 20}),
    "With 50 tasks waiting": _series({"ready": 50, "high_ms": 10, "normal_ms": 101}),
    "Freeze the broker": _series({}, *[{"freezes": 1, "ready": None}] * 9, {"freezes": 1}),
}
MISSED = {
    "Let 100 tasks wait": [_series({"ready": 99}), _series({"ready": None})],
    "Have the workers do all": [
        _series({"ready": 120}, {"ready": 3}),
        _series({"ready": 120}, {"ready": 0, "emptied": 1}),
        _series({"ready": 120}, {"ready": 0, "settings": Settings(rate_msg_s=10)}),
        _series({"ready": 99}, {"ready": 0}),
    ],
    "Make one of three": [
        _series({"hands": (20, 1, 1)}),
        _series({"hands": (20, 0)}),
        _series({"hands": (19, 0, 0)}),
    ],
    "Three workers": [
        _series(*LONG[:30]),
        _series(*LONG[:-1], {"wait_p95_ms": 100}),
        _series(*LONG[:-1], {"wait_p95_ms": None}),
        _series(*LONG[:-1], {"settings": Settings(rate_msg_s=30, workers=4)}),
        _series(*LONG[:-1], {"settings": Settings(rate_msg_s=20, workers=3)}),
    ],
    "Let a task be delivered twice": [_series({})],
    "Lose a task": [_series({})],
    "Make that impossible": [
        _series({"kills": ((4, 0),), "is_quiet": True}),
        _series({"kills": ((5, 0),), "lost": 1, "is_quiet": True}),
        _series({"kills": ((5, 0),)}),
        _series({"is_quiet": True}),
    ],
    "Let poison": [_series({"redelivered_msg_s": 19})],
    "With 50 tasks waiting": [
        _series({"ready": 49, "high_ms": 10, "normal_ms": 101}),
        _series({"ready": 50, "high_ms": 10, "normal_ms": 99}),
        _series({"ready": 50, "high_ms": None, "normal_ms": 99}),
    ],
    "Freeze the broker": [
        _series({}, {}),
        _series({}, {"freezes": 1}),
        _series({}, *[{"freezes": 1, "ready": 5}] * 40),
        _series({}, *[{"freezes": 1, "done_msg_s": 0}] * 12),
        _series({}, *[{"freezes": 1, "ready": 5}] * 40, {"freezes": 1}),
    ],
}


def _challenge(beginning: str) -> Any:
    (found,) = [is_met for words, is_met in CHALLENGES.items() if words.startswith(beginning)]
    return found


def test_there_are_ten_challenges_and_each_is_tried_here() -> None:
    assert len(CHALLENGES) == len(MET) == len(MISSED) == 10


@pytest.mark.parametrize("beginning", MET)
def test_a_challenge_is_met(beginning: str) -> None:
    assert _challenge(beginning)(MET[beginning])


@pytest.mark.parametrize("beginning", MISSED)
def test_less_does_not_meet_it(beginning: str) -> None:
    assert not any(map(_challenge(beginning), MISSED[beginning]))
