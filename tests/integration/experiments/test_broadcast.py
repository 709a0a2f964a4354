"""Broadcasts against a real broker: who is there, who is away, and what each one gets."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pika
import pytest

from rmqlab.engine import Event
from rmqlab.errors import BrokerError
from rmqlab.experiments import Subscriber, run_broadcast

EVENTS = [Event("engine-1", "processed", {"number": number}) for number in range(20)]
BILLING, ARCHIVE = "engine:events:billing", "engine:events:archive"


@pytest.fixture
def channel(broker) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        yield connection.channel()


def _received(broker, subscribers, **options) -> dict[str, int]:
    run = run_broadcast(broker, EVENTS, subscribers=subscribers, progress=False, **options)
    return run.received().set_index("subscriber")["received"].to_dict()


@pytest.mark.parametrize("prefetch_count", [0, 1, 5])
@pytest.mark.parametrize("rate_msg_s", [None, 1000])
def test_every_subscriber_gets_every_event_once(broker, prefetch_count, rate_msg_s) -> None:
    run = run_broadcast(
        broker,
        EVENTS,
        subscribers=3,
        rate_msg_s=rate_msg_s,
        prefetch_count=prefetch_count,
        progress=False,
    )

    assert list(run.received()["received"]) == [20] * 3
    assert run.events()["handled_s"].notna().all()
    assert (run.events()["deliveries"] == 1).all()
    assert run.summary()["received"].item() == 60
    assert run.summary()["confirm_ms"].item() > 0


@pytest.mark.parametrize("rate_msg_s", [None, 500])
def test_what_is_missed_is_what_is_published_while_there_is_no_queue(broker, rate_msg_s) -> None:
    subscribers = [
        Subscriber("there"),
        Subscriber("late", away=range(5)),
        Subscriber("interrupted", away=range(6, 14)),
        Subscriber("gone", away=range(15, 20)),
        Subscriber("durable", queue=BILLING, away=range(6, 14)),
        Subscriber("durable, late", queue=ARCHIVE, away=range(5)),
        Subscriber("never", away=range(20)),
    ]

    assert _received(broker, subscribers, rate_msg_s=rate_msg_s) == {
        "there": 20,
        "late": 15,
        "interrupted": 12,
        "gone": 15,
        "durable": 20,
        "durable, late": 15,
        "never": 0,
    }


def test_a_durable_subscriber_comes_back_after_the_last_event_at_latest(broker) -> None:
    run = run_broadcast(
        broker,
        EVENTS,
        subscribers=[Subscriber("durable", queue=BILLING, away=range(10, 20))],
        progress=False,
    )

    assert list(run.received()["received"]) == [20]
    assert list(run.events()["event"]) == list(range(20))
    assert run.backlog()["backlog"].max() == 10


def test_subscribers_that_share_a_queue_share_the_events(broker) -> None:
    subscribers = [
        Subscriber("billing-1", queue=BILLING),
        Subscriber("billing-2", queue=BILLING, away=range(5, 10)),
        Subscriber("dashboard"),
    ]
    received = _received(broker, subscribers)

    assert received["billing-1"] + received["billing-2"] == 20
    assert received["dashboard"] == 20


def test_one_that_is_slow_falls_behind_alone(broker) -> None:
    run = run_broadcast(
        broker,
        EVENTS,
        subscribers=[Subscriber("quick"), Subscriber("slow", work_s=0.1)],
        rate_msg_s=100,
        progress=False,
    )
    latency_ms = run.received().set_index("subscriber")["latency_ms"]

    assert latency_ms["slow"] > 2 * latency_ms["quick"]
    backlog = run.backlog()
    assert backlog[backlog["subscriber"] == "slow"]["backlog"].max() >= 10
    assert backlog.groupby("subscriber")["backlog"].last().to_dict() == {"quick": 0, "slow": 0}


def test_a_run_begins_without_what_another_left_and_leaves_nothing(broker, channel) -> None:
    channel.exchange_declare("engine:events", "fanout", durable=True)
    channel.queue_declare(BILLING, durable=True)
    channel.queue_bind(BILLING, "engine:events")
    channel.confirm_delivery()
    channel.basic_publish("engine:events", "", EVENTS[0].encode())

    for _ in range(2):
        assert _received(broker, [Subscriber("durable", queue=BILLING)]) == {"durable": 20}
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare(BILLING, passive=True)


def test_a_run_that_takes_too_long_says_how_far_it_came(broker) -> None:
    with pytest.raises(BrokerError, match=r"Only \d+ of 20 events were handled within 0\.1 s.*Next: "):
        _received(broker, [Subscriber("slow", work_s=0.2)], timeout_s=0.1)


def test_a_subscriber_that_fails_ends_the_run(broker, channel) -> None:
    class DeletesTheQueue(list):
        def __iter__(self):
            for number, event in enumerate(super().__iter__()):
                if number == 5:
                    channel.queue_delete(BILLING)
                yield event

    with pytest.raises(BrokerError, match="its queue is gone"):
        run_broadcast(
            broker,
            DeletesTheQueue(EVENTS),
            subscribers=[Subscriber("durable", queue=BILLING)],
            progress=False,
        )


def test_an_interrupted_run_leaves_no_thread_and_no_queue(broker, channel) -> None:
    class Interrupted(list):
        def __iter__(self):
            yield from list(super().__iter__())[:5]
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_broadcast(
            broker,
            Interrupted(EVENTS),
            subscribers=[Subscriber("own"), Subscriber("durable", queue=BILLING)],
            progress=False,
        )

    assert threading.active_count() == before
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare(BILLING, passive=True)


def test_progress_counts_deliveries(broker, capsys) -> None:
    run_broadcast(
        broker,
        EVENTS,
        subscribers=[
            Subscriber("there"),
            Subscriber("late", away=range(5)),
            Subscriber("interrupted", away=range(6, 14)),
            Subscriber("billing-1", queue=BILLING, away=range(2)),
            Subscriber("billing-2", queue=BILLING, away=range(3)),
        ],
    )

    printed = capsys.readouterr()
    assert "65/65" in printed.out  # 20 + 15 + 12 + 18
    assert printed.err == ""
