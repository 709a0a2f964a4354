"""Broadcasts against a real broker: who is there, who is away, and what each one gets."""

from __future__ import annotations

import threading

import pytest

from rmqlab.engine import Event
from rmqlab.errors import BrokerError
from rmqlab.experiments import BroadcastConfig, Result, Subscriber, run_broadcast

EVENTS = [Event("engine-1", "processed", {"number": number}) for number in range(20)]
BILLING, ARCHIVE, AUDIT = (f"engine:events:{name}" for name in ("billing", "archive", "audit"))


def _run(broker, *subscribers: Subscriber | int, **options) -> Result:
    options = {"events": EVENTS, "repeats": 1, **options}
    return run_broadcast(broker, BroadcastConfig.quick(subscribers=subscribers, **options), progress=False)


def _received(broker, *subscribers: Subscriber, **options) -> dict[str, int]:
    frame = _run(broker, *subscribers, **options).frame("received")
    return frame.set_index("subscriber")["received"].to_dict()


@pytest.mark.parametrize("rate_msg_s", [None, 500])
def test_what_is_missed_is_what_is_published_while_there_is_no_queue(broker, rate_msg_s) -> None:
    subscribers = {
        Subscriber("there"): 20,
        Subscriber("late", away=range(5)): 15,
        Subscriber("interrupted", away=range(6, 14)): 12,
        Subscriber("gone", away=range(15, 20)): 15,
        Subscriber("durable", queue=BILLING, away=range(6, 14)): 20,
        Subscriber("durable, late", queue=ARCHIVE, away=range(5)): 15,
        Subscriber("durable, back at last", queue=AUDIT, away=range(10, 20)): 20,
        Subscriber("never", away=range(20)): 0,
    }

    received = _received(broker, *subscribers, rate_msg_s=rate_msg_s)

    assert received == {each.name: count for each, count in subscribers.items()}


def test_a_run_begins_without_what_another_left_and_leaves_nothing(broker, channel) -> None:
    channel.exchange_declare("engine:events", "fanout", durable=True)
    channel.queue_declare(BILLING, durable=True)
    channel.queue_bind(BILLING, "engine:events")
    channel.basic_publish("engine:events", "", EVENTS[0].encode())

    for _ in range(2):
        assert _received(broker, Subscriber("durable", queue=BILLING)) == {"durable": 20}
    assert BILLING not in set(broker.queues()["name"])


def test_a_run_that_takes_too_long_says_so(broker) -> None:
    with pytest.raises(BrokerError, match=r"Not all events were handled within 0\.1 s.*Next: "):
        _run(broker, Subscriber("slow", work_s=0.2), timeout_s=0.1)


def test_a_subscriber_that_fails_ends_the_run(broker, channel) -> None:
    class DeletesTheQueue(list):
        def __iter__(self):
            for number, event in enumerate(super().__iter__()):
                if number == 5:
                    channel.queue_delete(BILLING)
                yield event

    with pytest.raises(BrokerError, match="its queue is gone"):
        _run(broker, Subscriber("durable", queue=BILLING), events=DeletesTheQueue(EVENTS))


def test_an_interrupted_run_leaves_no_thread_and_no_queue(broker) -> None:
    class Interrupted(list):
        def __iter__(self):
            yield from list(super().__iter__())[:5]
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        _run(broker, Subscriber("own"), Subscriber("durable", queue=BILLING), events=Interrupted(EVENTS))

    assert threading.active_count() == before
    assert BILLING not in set(broker.queues()["name"])
