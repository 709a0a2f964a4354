"""What the frames and figures of a broadcast tell, of runs that were made up."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import matplotlib as mpl
import pika
import pytest
from helpers import Clock

from rmqlab import experiments
from rmqlab.engine import Event
from rmqlab.experiments import Broadcast, Subscriber, run_broadcast
from rmqlab.measure import Ledger, by_message_id

mpl.use("agg")  # no window, whatever the machine has

MS = 1_000_000
EVENTS = [Event("engine-1", "processed")] * 3


def _broadcast(subscribers: list[Subscriber], *steps: tuple[float, str, int]) -> Broadcast:
    """Make a run of steps: at so many ms, who (`api` publishes) had to do with which event.

    A subscriber's first step with an event is its delivery, the second one its handling.
    """
    clock = Clock()
    ledger = Ledger(clock=clock)
    publisher = ledger.publisher(identify=by_message_id)
    recorders = {each.name: ledger.consumer(each.name, identify=by_message_id) for each in subscribers}
    tags: dict[tuple[str, int], int] = {}
    next_tag: dict[str, Callable[[], int]] = {each.name: count(1).__next__ for each in subscribers}
    for at_ms, who, event in steps:
        clock.now_ns = 1_000_000 * MS + round(at_ms * MS)
        if who == "api":
            publisher.published(event)
        elif who == "broker":
            publisher.confirmed(event, event)
        elif (who, event) not in tags:
            tags[who, event] = next_tag[who]()
            recorders[who].delivered(
                tags[who, event], False, pika.BasicProperties(message_id=str(event)), b""
            )
        else:
            recorders[who].settled(tags[who, event], False, "acked")
    return Broadcast(tuple(subscribers), ledger, {"rabbitmq": "4.0.5"})


@pytest.fixture
def run() -> Broadcast:
    """Three events to one that is quick, one that is slow, and one that misses two of three."""
    return _broadcast(
        [Subscriber("quick"), Subscriber("slow", queue="q"), Subscriber("late", away=range(2))],
        (0, "api", 0),
        (1, "broker", 0),
        (2, "quick", 0),
        (3, "quick", 0),
        (4, "slow", 0),
        (10, "api", 1),
        (12, "quick", 1),
        (13, "quick", 1),
        (15, "broker", 1),
        (20, "api", 2),
        (21, "broker", 2),
        (22, "quick", 2),
        (23, "late", 2),
        (24, "quick", 2),
        (25, "late", 2),
        (50, "slow", 0),
        (51, "slow", 1),
        (60, "slow", 1),
        (61, "slow", 2),
        (70, "slow", 2),
    )


def test_there_is_a_row_for_each_subscriber_and_event(run: Broadcast) -> None:
    events = run.events()

    assert list(zip(events["subscriber"], events["event"], strict=True)) == [
        (name, event) for name in ("quick", "slow", "late") for event in range(3)
    ]
    assert list(events["deliveries"]) == [1, 1, 1, 1, 1, 1, 0, 0, 1]
    assert list(events["away"]) == [False] * 6 + [True, True, False]


def test_an_event_that_is_delivered_twice_counts_as_received_once(run: Broadcast) -> None:
    twice = _broadcast([Subscriber("one")], (0, "api", 0), (1, "one", 0))
    recorder = next(each for each in twice.ledger._consumers if each.name == "one")
    recorder.delivered(2, True, pika.BasicProperties(message_id="0"), b"")

    assert list(twice.events()["deliveries"]) == [2]
    assert twice.received()[["received", "missed"]].to_numpy().tolist() == [[1, 0]]


def test_received_and_missed_add_up_to_published(run: Broadcast) -> None:
    received = run.received()

    assert list(received["subscriber"]) == ["quick", "slow", "late"]
    assert list(received["queue"]) == ["its own", "q", "its own"]
    assert list(received["published"]) == [3, 3, 3]
    assert list(received["received"]) == [3, 3, 1]
    assert list(received["missed"]) == [0, 0, 2]
    assert list(received["latency_ms"]) == pytest.approx([2, 41, 3])


def test_a_subscriber_that_got_nothing_has_a_row(run: Broadcast) -> None:
    alone = _broadcast([Subscriber("nobody", away=range(1))], (0, "api", 0))

    assert list(alone.received()["missed"]) == [1]
    assert alone.backlog().empty
    assert math.isnan(alone.summary()["last_ms"].item())


def test_the_backlog_is_what_was_published_to_it_and_is_not_handled(run: Broadcast) -> None:
    backlog = run.backlog()
    slow = backlog[backlog["subscriber"] == "slow"]

    assert list(slow["backlog"]) == [1, 2, 3, 2, 1, 0]
    assert list(slow["time_s"]) == pytest.approx([0, 0.010, 0.020, 0.050, 0.060, 0.070])
    assert backlog.groupby("subscriber")["backlog"].max().to_dict() == {"late": 1, "quick": 1, "slow": 3}


def test_the_summary_tells_first_and_last_delivery_and_confirm(run: Broadcast) -> None:
    (summary,) = run.summary().to_dict("records")

    assert summary["subscribers"] == 3
    assert (summary["published"], summary["received"]) == (3, 7)
    assert summary["confirm_ms"] == pytest.approx(1)
    assert summary["first_ms"] == pytest.approx(2)
    assert summary["last_ms"] == pytest.approx(41)
    assert summary["rabbitmq"] == "4.0.5"


@pytest.mark.parametrize(
    ("options", "clue"),
    [
        ({"queue": ""}, "queue"),
        ({"away": range(0, 10, 2)}, "away"),
        ({"away": range(-1, 3)}, "away"),
        ({"work_s": -1}, "work_s"),
        ({"work_s": math.inf}, "work_s"),
    ],
)
def test_a_subscriber_that_cannot_be_is_refused(options, clue: str) -> None:
    with pytest.raises(ValueError, match=rf"Subscriber 'billing': {clue} is"):
        Subscriber("billing", **options)


@pytest.mark.parametrize(
    ("options", "clue"),
    [
        ({"events": [], "subscribers": 1}, "events is empty"),
        ({"subscribers": 0}, "subscribers is"),
        ({"subscribers": [Subscriber("one"), Subscriber("one")]}, "each name once"),
        ({"subscribers": [Subscriber("one", away=range(2, 4))]}, "of 3 events"),
        ({"subscribers": 1, "rate_msg_s": 0}, "rate_msg_s is 0"),
        ({"subscribers": 1, "rate_msg_s": -1}, "rate_msg_s is -1"),
        ({"subscribers": 1, "rate_msg_s": math.inf}, "rate_msg_s is inf"),
    ],
)
def test_wrong_options_of_a_run_are_refused_before_a_connection_is_made(options, clue: str) -> None:
    with pytest.raises(ValueError, match=clue):
        run_broadcast("amqp://127.0.0.1:1", **{"events": EVENTS, **options})


# --- figures --------------------------------------------------------------------------------


def test_attendance_counts_what_was_kept_and_what_was_missed() -> None:
    kept = _broadcast(
        [Subscriber("durable", queue="q", away=range(2)), Subscriber("late", away=range(1))],
        *((0, "api", 0), (1, "api", 1), (2, "late", 1), (3, "durable", 0), (4, "durable", 1)),
    )
    (axes,) = experiments.plot_attendance(kept.events()).axes

    assert axes.get_title(loc="left") == "Published while they were away: 2 events kept, 1 missed"
    assert [text.get_text() for text in axes.texts] == ["2 received", "1 received"]
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [1, 2, 1]


def test_backlog_names_who_falls_behind(run: Broadcast) -> None:
    left, right = experiments.plot_backlog(run.backlog(), run.events()).axes

    assert left.get_title(loc="left") == "Up to 3 events wait for slow, up to 1 for others"
    assert "(s)" in left.get_xlabel()
    assert "(ms)" in right.get_ylabel()
    assert right.get_yscale() == "log"
