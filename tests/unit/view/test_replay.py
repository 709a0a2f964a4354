"""What the replay of a run shows, of runs that were made up."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from helpers import ledger_of

from rmqlab.errors import LedgerError
from rmqlab.experiments import Result, WorkloadConfig, make_workload
from rmqlab.experiments.workers import Run, result_of
from rmqlab.measure import ConstantDuration, Ledger
from rmqlab.view import Mark, Replay, Scene, replay

HEAVIEST_B = 200_000

# Message 0 goes back when its consumer is lost, 1 is put back, 2 is rejected, 3 stays in the queue.
EVENTS = [
    *((1.0, "published", 0), (1.1, "published", 1), (1.2, "published", 2), (1.3, "published", 3)),
    *((1.01, "confirmed", 0), (1.5, "delivered", 0, "a"), (1.6, "delivered", 1, "b")),
    *((1.7, "requeued", 1, "b"), (1.8, "delivered", 1, "b", True), (1.9, "acked", 1, "b")),
    *((2.0, "delivered", 2, "b"), (2.1, "rejected", 2, "b"), (2.2, "delivered", 0, "b", True)),
    (2.3, "acked", 0, "b"),
]
QUEUES = {"a": "engine:tasks", "b": "engine:tasks"}


@pytest.fixture
def crashed() -> Replay:
    ledger = ledger_of(*sorted(EVENTS, key=lambda event: event[0]))
    return replay(Scene(ledger, QUEUES, marks=[Mark(1_900_000_000, "a crashes", "a")]))


def _depth(data: dict, queue: int = 0) -> pd.DataFrame:
    """Follow a queue as the player does."""
    changes = []
    for row, (place, published) in enumerate(zip(data["queue"], data["published"], strict=True)):
        if place != queue:
            continue
        changes.append((published, 1, 0))
        for i in [i for i, each in enumerate(data["row"]) if each == row]:
            changes.append((data["delivered"][i], -1, 1))
            if data["until"][i] is not None:
                changes.append((data["until"][i], int(data["end"][i] in (1, 4)), -1))
    return pd.DataFrame(changes, columns=["tick", "ready", "unacked"]).groupby("tick").sum().cumsum()


def test_each_delivery_has_its_time_and_its_end(crashed: Replay) -> None:
    data = crashed.data

    assert data["number"] == [0, 1, 2, 3]
    assert data["published"] == [0, 10_000, 20_000, 30_000]
    assert data["confirmed"] == [1_000, None, None, None]
    assert data["row"] == [0, 0, 1, 1, 2]
    assert data["delivered"] == [50_000, 120_000, 60_000, 80_000, 100_000]
    assert data["until"] == [120_000, 130_000, 70_000, 90_000, 110_000]
    assert data["end"] == [4, 3, 1, 3, 2]
    assert data["again"] == [0, 1, 0, 1, 0]
    assert data["marks"] == [(90_000, "a crashes", 0, 0)]


def test_a_message_that_nobody_got_waits_in_the_only_queue(crashed: Replay) -> None:
    assert crashed.data["queue"] == [0, 0, 0, 0]
    assert _depth(crashed.data).iloc[-1].to_dict() == {"ready": 1, "unacked": 0}


def test_the_sentence_says_what_happened(crashed: Replay) -> None:
    assert crashed.sentence == (
        "Replay of 4 messages, as recorded in 1.3 s: 5 delivered, 2 of them again, 2 acknowledged, "
        "1 rejected, 1 put back. At 0.90 s a crashes."
    )
    assert crashed._repr_mimebundle_()["text/plain"] == crashed.sentence


def test_a_copy_for_each_queue_is_a_row_of_its_own() -> None:
    events = [(1.0, "published", 0), (1.1, "delivered", 0, "a"), (1.2, "delivered", 0, "b")]
    data = replay(Scene(ledger_of(*events), {"a": "qa", "b": "qb"}, "engine:events", passing=["qb"])).data

    assert (data["number"], data["queue"], data["end"]) == ([0, 0], [0, 1], [0, 0])
    assert data["queues"] == [("qa", 0), ("qb", 1)]


def test_of_many_messages_some_are_shown_and_the_piece_stays_light() -> None:
    ledger = ledger_of(
        *((number / 1000, "published", number) for number in range(6000)),
        *((6 + number / 1000, "delivered", number, "a") for number in range(6000)),
    )
    shown = replay(Scene(ledger, {"a": "q"}))

    assert shown.data["number"] == list(range(0, 6000, 3))
    assert "Shown is one message of 3." in shown.sentence
    assert len(shown.html()) < HEAVIEST_B


def test_of_a_storm_the_beginning_is_shown() -> None:
    storm = [(1.0, "published", 0), (1.0, "published", 1), (2.9, "published", 2)]
    for round_ in range(4000):
        at_s = 1 + round_ / 2000
        storm += [(at_s, "delivered", 0, "a", *[True][: round_ > 0]), (at_s + 0.0002, "requeued", 0, "a")]
    shown = replay(Scene(ledger_of(*sorted(storm, key=lambda event: event[0])), {"a": "q"}))

    assert len(shown.data["row"]) == 2_500
    assert shown.data["number"] == [0, 1]
    assert "Shown are the first 1.25 s." in shown.sentence
    assert len(shown.html()) < HEAVIEST_B


def test_names_cannot_end_the_piece() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    shown = replay(Scene(ledger_of((1.0, "published", 0), (1.1, "delivered", 0, "a")), {"a": evil}, evil))

    html = shown.html()
    assert evil not in html
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.S)
    assert found
    assert json.loads(found[1])["queues"] == [[evil, 0]]
    assert evil not in shown.picture


def test_a_run_without_messages_cannot_be_replayed() -> None:
    with pytest.raises(LedgerError, match="Nothing was published"):
        replay(Scene(Ledger(), {"nobody": "q"}))


def test_an_experiment_that_records_no_messages_has_no_replay() -> None:
    with pytest.raises(LedgerError, match="records no messages"):
        Result(pd.DataFrame(), None, {}).replay()


def test_a_run_that_there_is_not_is_said() -> None:
    scene = Scene(ledger_of((1.0, "published", 0)), {"nobody": "q"})
    with pytest.raises(KeyError, match=r"no recorded run .8.*Next: name one of 4"):
        Result(pd.DataFrame(), None, {}, scenes={"4": scene}).replay("8")


def test_replay_frame_and_figure_show_the_same_depth() -> None:
    config = WorkloadConfig(workload=make_workload(4, ConstantDuration(0.01)), workers=["engine:tasks"] * 2)
    names = {"a": "worker-1", "b": "worker-2"}
    events = [(*event[:3], *(names.get(each, each) for each in event[3:])) for event in EVENTS]
    ledger = ledger_of(*sorted(events, key=lambda event: event[0]))
    result = result_of({"run": Run(config, ledger, started_ns=1_400_000_000)}, "run", {})
    frame, played = result.frame("depth"), _depth(result.replay().data)
    frame = frame.assign(tick=(frame["time_s"] * 100_000).round().astype(int)).groupby("tick").last()

    assert frame[["ready", "unacked"]].to_dict() == played.loc[frame.index].to_dict()
    drawn = result.plot("depth").axes[0].lines[0]
    assert list(drawn.get_ydata()) == list(result.frame("depth")["ready"])
