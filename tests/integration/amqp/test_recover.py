"""Recovery against a real broker, over links that break."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pika
import pytest

from rmqlab.amqp import (
    ConnectionEvent,
    Consumer,
    Publisher,
    Queue,
    Recovery,
    Topology,
    confirm_window,
    connect,
)
from rmqlab.broker import Broker, Link
from rmqlab.engine import EngineAPI, Event, EventSubscriber
from rmqlab.errors import (
    BrokerError,
    BrokerRefusedError,
    BrokerUnavailableError,
    ConnectionLostError,
    ConsumerCancelledError,
    StoppedError,
    TopologyMismatchError,
)
from rmqlab.measure import Ledger

WAIT_S = 20  # for an event that is under way; never waited out when all is well
QUEUE = "recover"
TOPOLOGY = Topology(queues=(Queue(name=QUEUE),))


class Events(list[ConnectionEvent]):
    """Keeps what a connection tells, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.Condition()

    def __call__(self, event: ConnectionEvent) -> None:
        with self._heard:
            self.append(event)
            self._heard.notify_all()

    def wait_for(self, kind: str) -> None:
        with self._heard:
            assert self._heard.wait_for(lambda: kind in self.kinds, WAIT_S), self.kinds

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def recovery(events: Events) -> Recovery:
    return Recovery(first_wait_s=0.02, longest_wait_s=0.1, timeout_s=WAIT_S, on_event=events)


@pytest.fixture
def channel(broker: Broker) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        TOPOLOGY.declare(channel)
        yield channel


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


def _bodies(channel) -> list[bytes]:
    found = []
    while True:
        method, _, body = channel.basic_get(QUEUE, auto_ack=True)
        if method is None:
            return found
        found.append(body)


class SlowToConfirm(Link):
    """A link whose delay keeps messages unconfirmed until it breaks."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker, delay_ms=300)


def test_what_was_unconfirmed_is_published_again_in_its_order(broker, channel, recovery, events) -> None:
    with SlowToConfirm(broker) as link:
        # The link first: hosts are tried in a random order, so only it is given at first.
        publisher = Publisher([link.url], routing_key=QUEUE, recovery=recovery)
        publisher._session._addresses.append(_address(broker))
        with publisher:
            for number in range(50):
                publisher.publish(str(number).encode())
            assert publisher.unconfirmed == 50
            link.close()
            publisher.flush()

            assert (publisher.confirmed, publisher.republished) == (50, 50)
    assert events.kinds[0] == "lost"
    assert events.kinds[-1] == "recovered"
    assert list(dict.fromkeys(_bodies(channel))) == [str(number).encode() for number in range(50)]


def test_a_publisher_declares_its_queue_before_it_publishes_again(broker, channel, recovery) -> None:
    """Else the broker confirms what it drops, as there is nowhere for it to go."""
    with SlowToConfirm(broker) as link:
        publisher = Publisher(link.url, routing_key=QUEUE, topology=TOPOLOGY, recovery=recovery)
        with publisher:
            channel.queue_delete(QUEUE)
            for number in range(50):
                publisher.publish(str(number).encode())
            link.drop()
            publisher.flush()

            assert (publisher.confirmed, publisher.republished) == (50, 50)
    assert len(_bodies(channel)) == 50


def _address(broker: Broker):
    from rmqlab.broker._address import Address

    return Address.parse(broker.url)


def test_without_a_recovery_a_lost_connection_ends_the_publisher(broker, channel) -> None:
    with Link(broker) as link, pytest.raises(ConnectionLostError, match="Next: "):
        with Publisher(link.url, routing_key=QUEUE) as publisher:
            publisher.publish(b"x")
            link.close()
            publisher.publish(b"y")
            publisher.flush()


def test_no_more_is_kept_than_may_be_unconfirmed(broker, channel, recovery, in_thread) -> None:
    """While there is no broker, a publisher waits rather than take in more and more."""
    link = Link(broker)
    publisher = Publisher(link.url, routing_key=QUEUE, confirms=confirm_window(10), recovery=recovery)
    stopped = threading.Event()

    def publish() -> None:
        with contextlib.suppress(StoppedError):
            for _ in range(1000):
                publisher.publish(b"x")
        stopped.set()

    link.close()
    thread = in_thread(publish)
    recovery.on_event.wait_for("retrying")
    assert publisher.unconfirmed <= 10
    publisher.stop()
    assert stopped.wait(5)
    thread.join(WAIT_S)
    publisher.close()


def test_a_password_that_is_wrong_ends_it_at_once(broker, events) -> None:
    recovery = Recovery(timeout_s=WAIT_S, on_event=events)
    url = broker.url.replace("@", "wrong@", 1)
    started_s = time.monotonic()

    with pytest.raises(BrokerRefusedError, match="refuses user"):
        Publisher(url, recovery=recovery)

    assert time.monotonic() - started_s < WAIT_S / 2
    assert "retrying" not in events.kinds


def test_a_virtual_host_that_is_not_there_ends_it_at_once(broker, events) -> None:
    recovery = Recovery(timeout_s=WAIT_S, on_event=events)

    with pytest.raises(BrokerRefusedError, match="no virtual host"):
        Consumer(f"{broker.url.rpartition('/')[0]}/nowhere", QUEUE, recovery=recovery)

    assert "retrying" not in events.kinds


def test_it_gives_up_loudly_at_its_time_limit(events) -> None:
    recovery = Recovery(first_wait_s=0.01, longest_wait_s=0.05, timeout_s=0.3, on_event=events)

    with pytest.raises(BrokerUnavailableError, match=r"No broker answers at .* \(ConnectionRefusedError"):
        Publisher("amqp://guest:guest@127.0.0.1:1/", recovery=recovery)

    assert "retrying" in events.kinds
    assert events.kinds[-1] == "given up"


def test_one_of_several_hosts_will_do(broker, channel, recovery) -> None:
    dead = "amqp://guest:guest@127.0.0.1:1/"
    for _ in range(5):
        with Publisher([dead, broker.url], routing_key=QUEUE, recovery=recovery) as publisher:
            publisher.publish(b"x")

    assert len(_bodies(channel)) == 5


def test_a_queue_with_other_settings_is_no_reason_to_try_again(broker, channel, recovery, events) -> None:
    other = Topology(queues=(Queue(name=QUEUE, max_length=1),))

    with pytest.raises(TopologyMismatchError, match="max_length"):
        Consumer(broker, QUEUE, topology=other, recovery=recovery)

    assert "retrying" not in events.kinds


def test_a_consumer_goes_on_and_tells_what_comes_again(broker, channel, recovery, events, in_thread) -> None:
    done: list[bytes] = []
    unacked, go_on = threading.Event(), threading.Event()

    def work(_method, _properties, body: bytes) -> None:
        if not done:
            unacked.set()
            assert go_on.wait(WAIT_S)
        done.append(body)

    for number in range(3):
        properties = pika.BasicProperties(message_id=f"id-{number}")
        channel.basic_publish("", QUEUE, str(number).encode(), properties)
    with Link(broker) as link:
        consumer = Consumer(
            [link.url], QUEUE, work, prefetch_count=2, threaded=True, recovery=recovery, topology=TOPOLOGY
        )
        consumer._session._addresses.append(_address(broker))
        with consumer:
            running = in_thread(lambda: consumer.run(count=3))
            assert unacked.wait(WAIT_S)
            link.close()
            events.wait_for("recovered")
            go_on.set()
            running.join(WAIT_S)

    lost = next(event for event in events if event.kind == "lost")
    assert lost.messages == ("id-0", "id-1")
    # What was in hand is done, and as nothing of a lost connection is acknowledged, done again.
    assert done == [b"0", b"0", b"1", b"2"]
    assert _bodies(channel) == []


def test_a_host_that_answers_nothing_holds_nobody_up(broker, channel, recovery, events, monkeypatch) -> None:
    """It does not even take connections; TCP would ask again and again for ten seconds."""
    monkeypatch.setattr("random.shuffle", lambda _: None)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = silent.getsockname()
        for _ in range(3):  # Linux takes one more than it was told to, and drops what comes then
            waiting = stack.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(place)
        started_s = time.monotonic()
        hosts = [f"amqp://{place[0]}:{place[1]}", broker.url]
        with Publisher(hosts, routing_key=QUEUE, recovery=recovery) as publisher:
            publisher.publish(b"x")

    assert time.monotonic() - started_s < 6
    assert events.kinds == ["retrying"]
    assert _bodies(channel) == [b"x"]


def test_a_subscriber_gets_a_queue_of_its_own_again(broker, recovery, events, in_thread) -> None:
    received: list[int] = []
    with Link(broker) as link:
        subscriber = EventSubscriber(
            [link.url], lambda event: received.append(event.data["n"]), recovery=recovery
        )
        subscriber._session._addresses.append(_address(broker))
        with subscriber, EngineAPI(broker) as api:
            running = in_thread(lambda: subscriber.run(count=1))
            link.close()
            events.wait_for("recovered")
            api.publish_event(Event("e", "happened", {"n": 1}))
            running.join(WAIT_S)

    assert received == [1]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_queue_that_is_deleted_is_declared_again(
    broker, channel, recovery, events, in_thread, threaded: bool
) -> None:
    done: list[bytes] = []
    with Consumer(
        broker,
        QUEUE,
        lambda _m, _p, body: done.append(body),
        topology=TOPOLOGY,
        recovery=recovery,
        threaded=threaded,
    ) as consumer:
        running = in_thread(lambda: consumer.run(count=2))
        channel.basic_publish("", QUEUE, b"before")
        _wait_until(lambda: done == [b"before"])
        channel.queue_delete(QUEUE)
        events.wait_for("recovered")
        channel.basic_publish("", QUEUE, b"after")
        running.join(WAIT_S)

    assert done == [b"before", b"after"]
    assert events.kinds == ["cancelled", "recovered"]


def test_what_came_before_its_queue_was_deleted_is_still_worked_off(
    broker, channel, recovery, events, in_thread
) -> None:
    done: list[bytes] = []
    may_work = threading.Event()

    def work(_method: object, _properties: object, body: bytes) -> None:
        may_work.wait(WAIT_S)
        done.append(body)

    for body in (b"1", b"2", b"3"):
        channel.basic_publish("", QUEUE, body)
    ledger = Ledger()
    with Consumer(
        broker,
        QUEUE,
        work,
        prefetch_count=10,
        topology=TOPOLOGY,
        recovery=recovery,
        threaded=True,
        observer=ledger.consumer(),
    ) as consumer:
        running = in_thread(lambda: consumer.run(count=4))
        _wait_until(lambda: ledger.received == 3)
        channel.queue_delete(QUEUE)
        events.wait_for("recovered")
        channel.basic_publish("", QUEUE, b"after")
        may_work.set()
        running.join(WAIT_S)

    assert done == [b"1", b"2", b"3", b"after"]
    assert events.kinds == ["cancelled", "recovered"]
    broker.wait_for_queue(QUEUE, ready=0, consumers=0)


def test_what_it_had_when_it_cannot_have_its_queue_again_is_reported(
    broker, channel, recovery, events, in_thread
) -> None:
    """Without a topology there is nothing to declare, and the missing queue costs the channel."""
    done: list[bytes] = []
    go_on = threading.Event()

    def work(_method: object, _properties: object, body: bytes) -> None:
        go_on.wait(WAIT_S)
        done.append(body)

    for number in range(2):
        channel.basic_publish("", QUEUE, b"lost", pika.BasicProperties(message_id=f"id-{number}"))
    ledger = Ledger()
    with Consumer(
        broker, QUEUE, work, prefetch_count=2, threaded=True, recovery=recovery, observer=ledger.consumer()
    ) as consumer:
        running = in_thread(lambda: consumer.run(count=1))
        _wait_until(lambda: ledger.received == 2)
        channel.queue_delete(QUEUE)
        events.wait_for("retrying")
        TOPOLOGY.declare(channel)
        events.wait_for("recovered")
        channel.basic_publish("", QUEUE, b"after")
        go_on.set()
        running.join(WAIT_S)

    assert done == [b"lost", b"after"]
    assert events.kinds[:2] == ["cancelled", "lost"]
    assert events[1].messages == ("id-0", "id-1")


def test_without_a_recovery_a_deleted_queue_ends_the_consumer(broker, channel, in_thread) -> None:
    def delete() -> None:
        broker.wait_for_queue(QUEUE, consumers=1)
        channel.queue_delete(QUEUE)

    with Consumer(broker, QUEUE) as consumer, pytest.raises(ConsumerCancelledError, match="queue is gone"):
        in_thread(delete)
        consumer.run(for_s=WAIT_S)


@pytest.mark.parametrize("is_unacked", [False, True])
def test_stop_ends_a_consumer_that_has_no_connection(
    broker, channel, recovery, events, in_thread, is_unacked: bool
) -> None:
    go_on = threading.Event()
    if is_unacked:
        channel.basic_publish("", QUEUE, b"x")
    link = Link(broker)
    with Consumer(
        link.url, QUEUE, lambda *_: go_on.wait(WAIT_S), threaded=True, recovery=recovery
    ) as consumer:
        running = in_thread(consumer.run)
        link.close()
        events.wait_for("retrying")
        started_s = time.monotonic()
        consumer.stop()
        running.join(5)

        assert not running.is_alive()
        assert time.monotonic() - started_s < 5
        go_on.set()


@pytest.mark.parametrize("recovers", [False, True])
def test_stop_ends_a_consumer_whose_broker_is_silent(broker, channel, in_thread, recovers: bool) -> None:
    channel.basic_publish("", QUEUE, b"x")
    done = threading.Event()
    with Link(broker) as link:
        consumer = Consumer(link.url, QUEUE, lambda *_: done.set(), recovery=Recovery() if recovers else None)
        running = in_thread(consumer.run)
        assert done.wait(WAIT_S)
        with link.partitioned():
            started_s = time.monotonic()
            consumer.stop()
            running.join(WAIT_S)
            consumer.close()
            assert time.monotonic() - started_s < 5

    assert not running.is_alive()


@pytest.mark.parametrize("recovers", [False, True])
def test_stop_ends_a_publisher_whose_broker_is_silent(broker, in_thread, recovers: bool) -> None:
    stopped: list[BrokerError | None] = []
    with Link(broker) as link:
        publisher = Publisher(link.url, routing_key=QUEUE, recovery=Recovery() if recovers else None)
        publisher.flush()
        with link.partitioned():
            publisher.publish(b"x")
            flushing = in_thread(lambda: stopped.append(_error_of(publisher.flush)))
            started_s = time.monotonic()
            publisher.stop()
            flushing.join(WAIT_S)
            publisher.close()
            assert time.monotonic() - started_s < 5

    assert isinstance(stopped[0], StoppedError)
    assert publisher.unconfirmed == 1


@pytest.mark.parametrize(
    "wrong",
    [{"first_wait_s": 0}, {"longest_wait_s": -1}, {"timeout_s": float("inf")}, {"heartbeat_s": 0}],
    ids=str,
)
def test_times_that_are_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recovery(**wrong)


def _error_of(call: Callable[[], object]) -> BrokerError | None:
    try:
        call()
    except BrokerError as error:
        return error
    return None


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
