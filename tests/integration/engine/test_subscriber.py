"""Subscribers of events against a real broker: what they receive, miss and keep."""

from __future__ import annotations

import contextlib

import pytest

from rmqlab import names
from rmqlab.engine import EngineAPI, Event, EventSubscriber

EVENT = Event("engine-123", "processed", {"flight": "US1895"})
BILLING = "engine:events:billing"
IDLE_S = 10  # for events that are under way; never waited out when all is well


@pytest.fixture(autouse=True)
def clean(channel) -> None:
    """No durable queue and no exchange of a test before."""
    channel.queue_delete(BILLING)
    channel.exchange_delete(names.EVENTS)


def _publish(broker, *numbers: int) -> None:
    with EngineAPI(broker) as api:
        for number in numbers:
            api.publish_event(Event("engine-123", "processed", {"number": number}))


def _numbers(events: list[Event]) -> list[int]:
    return [event.data["number"] for event in events]


def test_each_queue_receives_every_event_in_order_and_subscribers_of_one_share_them(broker) -> None:
    received: list[list[Event]] = [[], [], [], []]
    queues, counts = (None, None, BILLING, BILLING), (10, 10, 4, 6)
    with contextlib.ExitStack() as stack:
        subscribers = [
            stack.enter_context(EventSubscriber(broker, each.append, queue=queue))
            for each, queue in zip(received, queues, strict=True)
        ]
        _publish(broker, *range(10))
        for subscriber, count in zip(subscribers, counts, strict=True):
            assert subscriber.run(count=count, idle_s=IDLE_S) == count

    one, other, *shared = map(_numbers, received)
    assert one == other == list(range(10))
    assert sorted(shared[0] + shared[1]) == list(range(10))


@pytest.mark.parametrize(("queue", "expected"), [(None, [0, 3]), (BILLING, [0, 1, 2, 3])])
def test_only_a_queue_with_a_name_keeps_what_is_published_while_its_subscriber_is_away(
    broker, channel, queue, expected
) -> None:
    received: list[Event] = []
    with EventSubscriber(broker, received.append, queue=queue) as subscriber:
        assert subscriber.queue.startswith(queue or "amq.gen-")
        _publish(broker, 0)
        subscriber.run(count=1, idle_s=IDLE_S)
    _publish(broker, 1, 2)
    with EventSubscriber(broker, received.append, queue=queue) as subscriber:
        _publish(broker, 3)
        subscriber.run(count=len(expected) - 1, idle_s=IDLE_S)

    assert _numbers(received) == expected


def test_an_event_whose_handling_fails_is_dropped_unless_it_is_to_come_back(broker, channel, caplog) -> None:
    def fail_once(event: Event) -> None:
        received.append(event)
        if len(received) == 1:
            raise RuntimeError("the first one fails")

    for on_failure, expected in (("reject", [0, 1]), ("requeue", [0, 0, 1])):
        received: list[Event] = []
        with EventSubscriber(
            broker, fail_once, queue=BILLING, on_failure=on_failure, prefetch_count=1
        ) as subscriber:
            _publish(broker, 0, 1)
            subscriber.run(count=len(expected), idle_s=IDLE_S)
        assert sorted(_numbers(received)) == expected
    assert caplog.text.count("handled the event of engine-123") == 2
