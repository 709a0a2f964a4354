"""The fault matrix: which cells there are, and what trials come to."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rmqlab.errors import RmqlabError
from rmqlab.experiments.faults import CLIENTS, FAULTS, QUEUE_TYPES, Trial, find_cells, summarize, to_frame
from rmqlab.experiments.faults._command import faults
from rmqlab.experiments.faults._job import Pace
from rmqlab.experiments.faults._trial import _first_after_s, _longest_gap_s

TRIAL = Trial(
    client="rmqlab",
    fault="kill",
    queue_type="classic",
    repeat=1,
    published=10,
    confirmed=10,
    lost_confirmed=0,
    gone_with_queue=0,
    duplicated=1,
    redelivered=1,
    republished=1,
    unconfirmed=0,
    hung=False,
    error="",
    outage_s=5.0,
    recover_publish_s=0.1,
    recover_consume_s=0.2,
)


class FakeBroker(contextlib.AbstractContextManager[None]):
    """Stands for a broker, where trials are made by hand."""

    version, source = "4.0.5", "node"

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        pass


@pytest.fixture
def _one_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Interrupt the matrix after its first trial."""

    def run_one(*_: object, on_result: Callable[[Trial], object], **__: object) -> None:
        on_result(TRIAL)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rmqlab.experiments.faults._command._quiet", lambda: None)  # which lasts
    monkeypatch.setattr("rmqlab.experiments.faults._command.start_broker", lambda own: FakeBroker())
    monkeypatch.setattr("rmqlab.experiments.faults._matrix.run_matrix", run_one)


@pytest.mark.usefixtures("_one_trial")
def test_an_interrupted_matrix_keeps_its_trials_in_a_file_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        faults(quick=True)

    (file,) = tmp_path.glob("build/faults/*")
    assert pd.read_csv(file)["client"].tolist() == [TRIAL.client]
    assert f"build/faults/{file.name}" in capsys.readouterr().err.replace("\\", "/")


@pytest.mark.usefixtures("_one_trial")
def test_a_matrix_that_cannot_be_kept_ends_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(RmqlabError, match=r"cannot be written \(.*\)\. Next: "):
        faults(quick=True, csv=tmp_path)


def test_every_client_meets_every_fault_on_every_type_of_queue() -> None:
    cells = find_cells()

    assert len(cells) == len(set(map(str, cells))) == len(CLIENTS) * len(FAULTS) * len(QUEUE_TYPES)


@pytest.mark.parametrize(("clients", "kinds", "what"), [(["x"], [], "client"), ([], ["x"], "fault")])
def test_an_unknown_name_is_refused(clients: list[str], kinds: list[str], what: str) -> None:
    with pytest.raises(RmqlabError, match=f"no {what} 'x'. Next: "):
        find_cells(clients, kinds)


def test_a_client_has_a_version_also_once_it_is_loaded() -> None:
    import kombu  # noqa: F401

    assert all(client.library.version for client in CLIENTS.values())


def test_a_frame_has_a_row_a_trial_in_the_order_of_the_matrix() -> None:
    frame = to_frame([TRIAL, replace(TRIAL, fault="restart")], {"cores": 2})

    assert list(frame["fault"]) == ["restart", "kill"]
    assert set(Trial.__dataclass_fields__) | {"version", "cores"} == set(frame)


def test_a_summary_adds_counts_and_takes_medians_of_times() -> None:
    trials = [replace(TRIAL, repeat=n, recover_publish_s=n, hung=n == 3) for n in (1, 2, 3)]
    row = summarize(to_frame(trials, {})).iloc[0]

    assert (row["trials"], row["duplicated"], row["hung"]) == (3, 3, 1)
    assert (row["recover_publish_s"], row["recover_publish_s_high"]) == (2, 3)


def test_recovery_is_timed_from_when_the_broker_is_back() -> None:
    times = np.array([1, 2, 5, 6]) * 10**9

    assert _first_after_s(times, 3 * 10**9) == 2
    assert math.isnan(_first_after_s(times, 7 * 10**9))


def test_a_fault_without_length_is_timed_by_the_longest_silence() -> None:
    times = np.array([1, 6, 2, 5]) * 10**9

    assert _longest_gap_s(times, 10**9) == 3
    assert math.isnan(_longest_gap_s(times, 7 * 10**9))


def test_time_lost_to_a_fault_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    pace = Pace(10)

    assert pace.wait_s() == 0
    assert pace.wait_s() == pytest.approx(0.1)
    now[0] = 100
    assert [pace.wait_s() for _ in range(3)] == pytest.approx([0, 0, 0.1])
