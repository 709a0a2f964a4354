"""Recovery against a real broker, over links that break."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pytest
from helpers import QUEUE, eventually, take_all

from rmqlab.amqp import ConnectionEvent, Consumer, Publisher, Queue, Recovery, Topology, confirm_window
from rmqlab.broker import Link
from rmqlab.engine import EngineAPI, Event, EventSubscriber
from rmqlab.errors import BrokerUnavailableError, StoppedError, TopologyMismatchError
from rmqlab.measure import Ledger

pytestmark = pytest.mark.usefixtures("queue")

WAIT_S = 20  # for an event that is under way; never waited out when all is well
SOON_S = 5
TOPOLOGY = Topology(queues=(Queue(name=QUEUE),))


class Events(list[ConnectionEvent]):
    """Keeps the events of a connection, and lets a test wait for one."""

    def wait_for(self, kind: str) -> None:
        assert eventually(lambda: kind in self.kinds, seconds=WAIT_S), self.kinds

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self]


class Work:
    """Work that waits until it may go on, and keeps what it has done."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _method: object, _properties: object, body: bytes) -> None:
        self.begun.set()
        assert self.go_on.wait(WAIT_S)
        self.done.append(body)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.go_on.set()  # a test that failed must not hold up its consumer


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def recovery(events: Events) -> Recovery:
    return Recovery(first_wait_s=0.02, longest_wait_s=0.1, timeout_s=WAIT_S, on_event=events.append)


@pytest.fixture(autouse=True)
def hosts_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.shuffle", lambda _: None)


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    threads: list[threading.Thread] = []

    def start(function: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=function, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.fixture
def consuming(recovery, work, in_thread) -> Callable[..., contextlib.AbstractContextManager[Any]]:
    """Let a consumer run in a thread, do its work at the end of a block, and be waited for."""

    @contextlib.contextmanager
    def consuming(broker: object, count: int | None = None, **options: object) -> Iterator[Any]:
        with Consumer(broker, QUEUE, work, threaded=True, recovery=recovery, **options) as consumer:
            running = in_thread(lambda: consumer.run(count=count))
            yield consumer, running
            work.go_on.set()
            running.join(WAIT_S)

    return consuming


def test_what_was_unconfirmed_is_published_again_in_its_order(broker, channel, recovery, events) -> None:
    """The queue is declared before: else the broker confirms what it drops, with nowhere for it to go."""
    bodies = [str(number).encode() for number in range(50)]
    with Link(broker, delay_ms=300) as link:
        with Publisher(
            [link.url, broker.url], routing_key=QUEUE, topology=TOPOLOGY, recovery=recovery
        ) as publisher:
            channel.queue_delete(QUEUE)
            for body in bodies:
                publisher.publish(body)
            assert publisher.unconfirmed == 50
            link.close()
            publisher.flush()

            assert (publisher.confirmed, publisher.republished) == (50, 50)
    assert events.kinds[0] == "lost"
    assert events.kinds[-1] == "recovered"
    assert list(dict.fromkeys(take_all(channel, QUEUE))) == bodies


def test_no_more_is_kept_than_may_be_unconfirmed(broker, recovery, events, in_thread) -> None:
    """While there is no broker, a publisher waits rather than take in more and more."""
    link = Link(broker)
    publisher = Publisher(link.url, routing_key=QUEUE, confirms=confirm_window(10), recovery=recovery)

    def publish() -> None:
        with contextlib.suppress(StoppedError):
            for _ in range(1000):
                publisher.publish(b"x")

    link.close()
    publishing = in_thread(publish)
    events.wait_for("retrying")
    assert publisher.unconfirmed <= 10
    publisher.stop()
    publishing.join(SOON_S)
    assert not publishing.is_alive()
    publisher.close()


def test_it_gives_up_loudly_at_its_time_limit(events) -> None:
    recovery = Recovery(first_wait_s=0.01, longest_wait_s=0.05, timeout_s=0.3, on_event=events.append)

    with pytest.raises(BrokerUnavailableError, match=r"No broker answers at .* \(ConnectionRefusedError"):
        Publisher("amqp://guest:guest@127.0.0.1:1/", recovery=recovery)

    assert "retrying" in events.kinds
    assert events.kinds[-1] == "given up"


def test_a_queue_with_other_settings_is_no_reason_to_try_again(broker, channel, recovery, events) -> None:
    other = Topology(queues=(Queue(name=QUEUE, max_priority=1),))

    with pytest.raises(TopologyMismatchError, match="x-max-priority"):
        Consumer(broker, QUEUE, topology=other, recovery=recovery)

    assert "retrying" not in events.kinds


def test_a_consumer_goes_on_and_says_what_comes_again(broker, channel, consuming, events, work) -> None:
    for number in range(3):
        properties = pika.BasicProperties(message_id=f"id-{number}")
        channel.basic_publish("", QUEUE, str(number).encode(), properties)
    with (
        Link(broker) as link,
        consuming([link.url, broker.url], count=3, prefetch_count=2, topology=TOPOLOGY),
    ):
        assert work.begun.wait(WAIT_S)
        link.close()
        events.wait_for("recovered")

    lost = next(event for event in events if event.kind == "lost")
    assert lost.messages == ("id-0", "id-1")
    # What was in hand is done, and as nothing of a lost connection is acknowledged, done again.
    assert work.done == [b"0", b"0", b"1", b"2"]
    assert take_all(channel, QUEUE) == []


def test_a_host_that_answers_nothing_holds_nobody_up(broker, channel, recovery, events) -> None:
    """It does not even take connections; TCP would ask again and again for ten seconds."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = silent.getsockname()
        for _ in range(3):  # Linux takes one more than the backlog, and drops what comes then
            waiting = stack.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(place)
        started_s = time.monotonic()
        hosts = [f"amqp://{place[0]}:{place[1]}", broker.url]
        with Publisher(hosts, routing_key=QUEUE, recovery=recovery) as publisher:
            publisher.publish(b"x")

    assert time.monotonic() - started_s < 6
    assert events.kinds == ["retrying"]
    assert take_all(channel, QUEUE) == [b"x"]


def test_a_subscriber_gets_a_queue_of_its_own_again(broker, recovery, events, in_thread) -> None:
    received: list[int] = []
    with Link(broker) as link:
        subscriber = EventSubscriber(
            [link.url, broker.url], lambda event: received.append(event.data["n"]), recovery=recovery
        )
        with subscriber, EngineAPI(broker) as api:
            running = in_thread(lambda: subscriber.run(count=1))
            link.close()
            events.wait_for("recovered")
            api.publish_event(Event("e", "happened", {"n": 1}))
            running.join(WAIT_S)

    assert received == [1]


def test_a_queue_that_is_deleted_is_declared_again_and_what_came_before_is_still_worked_off(
    broker, channel, consuming, events, work
) -> None:
    for body in (b"1", b"2", b"3"):
        channel.basic_publish("", QUEUE, body)
    ledger = Ledger()
    with consuming(broker, count=4, topology=TOPOLOGY, observer=ledger.consumer()):
        assert eventually(lambda: ledger.received == 3)
        channel.queue_delete(QUEUE)
        events.wait_for("recovered")
        channel.basic_publish("", QUEUE, b"after")

    assert work.done == [b"1", b"2", b"3", b"after"]
    assert events.kinds == ["cancelled", "recovered"]
    broker.wait_for_queue(QUEUE, ready=0, consumers=0)


def test_what_it_had_when_it_cannot_have_its_queue_again_is_reported(
    broker, channel, consuming, events, work
) -> None:
    """Without a topology there is nothing to declare, and the missing queue costs the channel."""
    for number in range(2):
        channel.basic_publish("", QUEUE, b"lost", pika.BasicProperties(message_id=f"id-{number}"))
    ledger = Ledger()
    with consuming(broker, count=1, prefetch_count=2, observer=ledger.consumer()):
        assert eventually(lambda: ledger.received == 2)
        channel.queue_delete(QUEUE)
        events.wait_for("retrying")
        TOPOLOGY.declare(broker)
        events.wait_for("recovered")
        channel.basic_publish("", QUEUE, b"after")

    assert work.done == [b"lost", b"after"]
    assert events.kinds[:2] == ["cancelled", "lost"]
    assert events[1].messages == ("id-0", "id-1")


@pytest.mark.parametrize("is_unacked", [False, True])
def test_stop_ends_a_consumer_that_has_no_connection(
    broker, channel, consuming, events, is_unacked: bool
) -> None:
    if is_unacked:
        channel.basic_publish("", QUEUE, b"x")
    link = Link(broker)
    with consuming(link.url) as (consumer, running):
        link.close()
        events.wait_for("retrying")
        consumer.stop()
        running.join(SOON_S)
        assert not running.is_alive()


@pytest.mark.parametrize("recovery_or_none", [None, Recovery()], ids=["", "recovery"])
def test_stop_ends_a_consumer_and_a_publisher_whose_broker_is_silent(
    broker, channel, in_thread, recovery_or_none
) -> None:
    channel.basic_publish("", QUEUE, b"x")
    done = threading.Event()
    with Link(broker) as link:
        consumer = Consumer(link.url, QUEUE, lambda *_: done.set(), recovery=recovery_or_none)
        publisher = Publisher(link.url, routing_key=QUEUE, recovery=recovery_or_none)
        consuming = in_thread(consumer.run)
        assert done.wait(WAIT_S)
        with link.partitioned():
            publisher.publish(b"x")
            started_s = time.monotonic()
            threading.Timer(0.2, publisher.stop).start()
            with pytest.raises(StoppedError):
                publisher.flush()
            publisher.close()
            assert time.monotonic() - started_s < SOON_S

            started_s = time.monotonic()
            consumer.stop()
            consuming.join(WAIT_S)
            consumer.close()
            assert time.monotonic() - started_s < SOON_S

    assert publisher.unconfirmed == 1


@pytest.mark.parametrize("wrong", [{"first_wait_s": 0}, {"longest_wait_s": -1}, {"timeout_s": float("inf")}])
def test_times_that_are_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recovery(**wrong)
