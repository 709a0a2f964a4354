"""What the frames of a broadcast show, of runs that were made up."""

from __future__ import annotations

import math

import pytest
from helpers import assert_figure_is_complete, ledger_of

from rmqlab.engine import Event
from rmqlab.experiments import BroadcastConfig, Result, Subscriber
from rmqlab.experiments.broadcast import broadcast_result, outcome_of_events

QUICK_SLOW_LATE = (Subscriber("quick"), Subscriber("slow", queue="q"), Subscriber("late", away=range(2)))


def _broadcast(subscribers: tuple[Subscriber, ...], *steps: tuple[float, str, int]) -> Result:
    """Make a run of steps: at so many ms, who (`api` publishes) had to do with which event.

    A subscriber's odd steps with an event are deliveries, the even ones their handling.
    """
    events, held = [], set()
    for at_ms, who, event in steps:
        what = "published" if who == "api" else "acked" if (who, event) in held else "delivered"
        held ^= {(who, event)}
        events.append((1000 + at_ms / 1000, what, event, who))
    return broadcast_result(outcome_of_events(ledger_of(*events), subscribers), {"rabbitmq": "4.0.5"}, {})


@pytest.fixture
def run() -> Result:
    """Three events to one that is quick, one that is slow, and one that misses two of three."""
    return _broadcast(
        QUICK_SLOW_LATE,
        *((0, "api", 0), (2, "quick", 0), (3, "quick", 0), (4, "slow", 0)),
        *((10, "api", 1), (12, "quick", 1), (13, "quick", 1)),
        *((20, "api", 2), (22, "quick", 2), (23, "late", 2), (24, "quick", 2), (25, "late", 2)),
        *((50, "slow", 0), (51, "slow", 1), (60, "slow", 1), (61, "slow", 2), (70, "slow", 2)),
    )


def test_there_is_a_row_for_each_subscriber_and_event(run: Result) -> None:
    events = run.frame()

    assert list(events["subscriber"]) == ["quick"] * 3 + ["slow"] * 3 + ["late"] * 3
    assert list(events["event"]) == [0, 1, 2] * 3
    assert list(events["deliveries"]) == [1, 1, 1, 1, 1, 1, 0, 0, 1]
    assert list(events["away"]) == [False] * 6 + [True, True, False]
    assert set(events["rabbitmq"]) == {"4.0.5"}


def test_received_and_missed_add_up_to_published(run: Result) -> None:
    received = run.frame("received")

    assert list(received["subscriber"]) == ["quick", "slow", "late"]
    assert list(received["queue"]) == ["its own", "q", "its own"]
    assert list(received["published"]) == [3, 3, 3]
    assert list(received["received"]) == [3, 3, 1]
    assert list(received["missed"]) == [0, 0, 2]
    assert list(received["latency_ms"]) == pytest.approx([2, 41, 3])


def test_an_event_that_is_delivered_twice_counts_as_received_once() -> None:
    steps = ((0, "api", 0), *((at_ms, "one", 0) for at_ms in (1, 2, 3)))
    twice = _broadcast((Subscriber("one"),), *steps)

    assert list(twice.frame()["deliveries"]) == [2]
    assert twice.frame("received")[["received", "missed"]].to_numpy().tolist() == [[1, 0]]


def test_a_subscriber_that_got_nothing_has_a_row() -> None:
    alone = _broadcast((Subscriber("nobody", away=range(1)),), (0, "api", 0))

    assert list(alone.frame("received")["missed"]) == [1]
    assert alone.frame("backlog").empty
    assert math.isnan(alone.frame("runs")["last_ms"].item())


def test_the_backlog_is_what_was_published_to_it_and_is_not_handled(run: Result) -> None:
    backlog = run.frame("backlog")
    slow = backlog[backlog["subscriber"] == "slow"]

    assert list(slow["backlog"]) == [1, 2, 3, 2, 1, 0]
    assert list(slow["time_s"]) == pytest.approx([0, 0.010, 0.020, 0.050, 0.060, 0.070])
    assert backlog.groupby("subscriber")["backlog"].max().to_dict() == {"late": 1, "quick": 1, "slow": 3}


def test_a_run_has_its_first_and_its_last_delivery(run: Result) -> None:
    (row,) = run.frame("runs").to_dict("records")

    assert (row["subscribers"], row["repeat"], row["received"]) == (3, 0, 7)
    assert row["first_ms"] == pytest.approx(2)
    assert row["last_ms"] == pytest.approx(41)


@pytest.mark.parametrize(
    "subscribers", [(), (Subscriber("one"), Subscriber("one"))], ids=["nobody", "one name twice"]
)
def test_there_is_a_subscriber_at_least_and_each_has_a_name_of_its_own(subscribers) -> None:
    with pytest.raises(ValueError, match="each name once"):
        BroadcastConfig(events=(Event("engine-1", "processed"),), subscribers=subscribers)


def test_attendance_counts_what_was_kept_and_what_was_missed() -> None:
    kept = _broadcast(
        (Subscriber("durable", queue="q", away=range(2)), Subscriber("late", away=range(1))),
        *((0, "api", 0), (1, "api", 1), (2, "late", 1), (3, "durable", 0), (4, "durable", 1)),
    )
    (axes,) = kept.plot().axes

    assert axes.get_title(loc="left") == "Published while they were away: 2 events kept, 1 missed"
    assert [text.get_text() for text in axes.texts] == ["2 received", "1 received"]
    assert [len(strokes.get_segments()) for strokes in axes.collections] == [1, 2, 1]


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("backlog", ["Up to 3 events wait for slow, up to 1 for others", ""]),
        (
            "spread",
            ["The last of 3 subscribers hears of an event after 41.0 ms, the last of 3 after 41.0 ms"],
        ),
    ],
)
def test_further_figures_say_who_falls_behind_and_how_late_the_last_one_is(run: Result, name, titles) -> None:
    assert_figure_is_complete(run.plot(name), *titles)
