"""Made-up load: its bodies and durations."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from rmqlab.measure import ConstantDuration, Load, ParetoDuration


def test_a_load_knows_its_own_messages() -> None:
    load = Load(3, size_bytes=100)
    bodies = [load.body(number) for number in range(3)]

    assert {len(body) for body in bodies} == {100}
    assert [load.identify(None, body) for body in bodies] == [0, 1, 2]
    for body in (Load(3).body(0), load.again().body(0), b"short"):
        assert load.identify(None, body) < 0
    assert pickle.loads(pickle.dumps(load)).identify(None, bodies[2]) == 2


def test_durations_are_what_they_say() -> None:
    def durations_s(durations: object) -> np.ndarray:
        return Load(200_000, durations=durations).durations_s()  # type: ignore[arg-type]

    assert set(durations_s(ConstantDuration(0.5))) == {0.5}
    pareto = np.sort(durations_s(ParetoDuration(0.2)))
    assert pareto.mean() == pytest.approx(0.2, rel=0.05)
    assert pareto.min() == pytest.approx(0.2 / 3, rel=0.01)
    assert pareto[-len(pareto) // 10 :].sum() > pareto.sum() / 3
    np.testing.assert_array_equal(pareto, np.sort(durations_s(ParetoDuration(0.2))))
    assert Load(10, durations=ConstantDuration(0.5)).work_s == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"count": 0}, "count is 0; it must be above 0"),
        ({"count": 1, "size_bytes": 7}, "size_bytes is 7; it goes from 8"),
        ({"count": 1, "rate_msg_s": 0}, "rate_msg_s is 0"),
        ({"count": 1, "rate_msg_s": float("nan")}, "rate_msg_s is nan"),
    ],
)
def test_a_load_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Load(**arguments)
