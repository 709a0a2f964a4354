"""The fault experiment without a broker: what it is asked, how times are taken, what its figure says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest

from rmqlab.broker import Outage, OwnBroker
from rmqlab.experiments import FaultsConfig, break_everything, plot_faults
from rmqlab.experiments.faults.trial import recover_s

BROKER: Any = Mock(OwnBroker, version="4.3.6", source="node")
TRIAL = {
    "published": 10,
    "confirmed": 10,
    "lost_confirmed": 0,
    "gone_with_queue": 0,
    "duplicated": 1,
    "recover_publish_s": 0.12345,
    "recover_consume_s": 0.2,
}
Trial = Callable[..., dict[str, Any]]


@pytest.fixture
def use_trial(monkeypatch: pytest.MonkeyPatch) -> Callable[[Trial], None]:
    """Let a function take the place of all trials."""
    return lambda trial: monkeypatch.setattr("rmqlab.experiments.faults.matrix.run_trial", trial)


def test_every_client_meets_every_fault_on_every_type_of_queue(use_trial: Callable[[Trial], None]) -> None:
    use_trial(lambda *_, **__: TRIAL)
    config = FaultsConfig.full(repeats=2)
    rows = break_everything(BROKER, config).frame()

    which = rows[["repeat", "fault", "client", "queue_type"]].itertuples(index=False, name=None)
    assert list(which) == list(itertools.product((1, 2), config.faults, config.clients, config.queue_types))
    assert {"rabbitmq", "pika", "python", "cores", "version"} <= set(rows)
    assert set(rows["recover_publish_s"]) == {0.123}


def test_an_interrupted_run_keeps_its_trials(tmp_path: Path, use_trial: Callable[[Trial], None]) -> None:
    use_trial(Mock(side_effect=[TRIAL, TRIAL, KeyboardInterrupt]))
    csv = tmp_path / "faults.csv"
    csv.write_text("of another run\n")
    with pytest.raises(KeyboardInterrupt):
        break_everything(BROKER, FaultsConfig.full(csv=csv))

    assert pd.read_csv(csv)["published"].tolist() == [10, 10]


def test_a_run_that_cannot_be_kept_does_not_begin(tmp_path: Path, use_trial: Callable[[Trial], None]) -> None:
    use_trial(Mock(side_effect=AssertionError("it began")))

    with pytest.raises(OSError, match=tmp_path.name):
        break_everything(BROKER, FaultsConfig.quick(csv=tmp_path))


@pytest.mark.parametrize("what", ["faults", "clients", "queue_types"])
def test_an_unknown_name_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=f"{what} has 'x'; it takes some of '"):
        FaultsConfig.quick(**{what: ("x",)})


def test_a_fault_without_length_is_timed_by_the_longest_silence() -> None:
    second = 10**9
    times = pd.Series([1, 6, 3, 5]) * second

    assert recover_s(times, Outage("instant", second, second)) == 2
    assert recover_s(times, Outage("kill", second // 2, 4 * second)) == 1
    assert math.isnan(recover_s(times, Outage("instant", 7 * second, 7 * second)))


def test_the_figure_says_what_was_lost_and_who_did_not_recover() -> None:
    rows = pd.DataFrame([TRIAL | {"fault": "kill", "client": name} for name in ("rmqlab", "kombu")])
    good = plot_faults(rows.assign(duplicated=0))
    rows.loc[1, ["lost_confirmed", "recover_consume_s", "recover_publish_s"]] = [3, math.nan, math.nan]
    bad = plot_faults(rows)

    assert [axes.get_title(loc="left") for axes in good.axes] == ["All recover within 0.2 s", "0 lost"]
    assert [axes.get_title(loc="left") for axes in bad.axes] == ["1 of 2 do not recover", "3 lost"]
