"""A link to a real broker: what it delays, and what a cut does to clients."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Iterator

import pika
import pytest

from rmqlab.amqp import Publisher, confirm_window, connect
from rmqlab.broker import Broker, Link
from rmqlab.broker._address import Address
from rmqlab.errors import BrokerUnavailableError

DELAY_MS = 20
ROUND_TRIP_S = 2 * DELAY_MS / 1000


pytestmark = pytest.mark.usefixtures("no_link_stays")


@contextlib.contextmanager
def _channel(url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    yield connection.channel()
    if connection.is_open:
        connection.close()


def _round_trip_s(channel: pika.adapters.blocking_connection.BlockingChannel) -> float:
    """Measure the quickest of a few round trips: what else runs only ever adds."""
    times_s = []
    for _ in range(5):
        started_s = time.monotonic()
        channel.basic_qos(prefetch_count=1)  # asks, and waits for the answer
        times_s.append(time.monotonic() - started_s)
    return min(times_s)


def _read_all(
    channel: pika.adapters.blocking_connection.BlockingChannel, queue: str, count: int
) -> list[bytes]:
    bodies = []
    for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
        if body is None:
            break
        bodies.append(body)
        if len(bodies) == count:
            break
    return bodies


def test_a_round_trip_takes_twice_the_delay_longer(broker: Broker) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        assert ROUND_TRIP_S <= _round_trip_s(channel) < 10 * ROUND_TRIP_S


def test_without_a_delay_a_link_is_no_distance(broker: Broker) -> None:
    with Link(broker) as link, _channel(link.url) as channel:
        assert _round_trip_s(channel) < ROUND_TRIP_S / 2


def test_a_large_body_passes_intact_both_ways(broker: Broker) -> None:
    body = os.urandom(1_000_000)
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, body)

        assert _read_all(channel, queue, 1) == [body]


def test_many_messages_keep_their_order_and_are_not_delayed_one_by_one(broker: Broker) -> None:
    bodies = [b"%d" % number for number in range(1000)]
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        started_s = time.monotonic()
        for body in bodies:
            channel.basic_publish("", queue, body)
        received = _read_all(channel, queue, len(bodies))
        took_s = time.monotonic() - started_s

    assert received == bodies
    assert took_s < len(bodies) * DELAY_MS / 1000 / 4


def test_a_window_of_unconfirmed_messages_bridges_the_distance(broker: Broker) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        with Link(broker, delay_ms=DELAY_MS) as link:
            started_s = time.monotonic()
            with Publisher(link.url, routing_key=queue, confirms=confirm_window(500)) as publisher:
                for number in range(1000):
                    publisher.publish(b"%d" % number)
                publisher.flush()
            took_s = time.monotonic() - started_s

        assert took_s < 1000 * DELAY_MS / 1000 / 4
        assert channel.queue_declare(queue, passive=True).method.message_count == 1000


def test_two_connections_do_not_hold_up_each_other(broker: Broker) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as one, _channel(link.url) as two:
        times_s: list[float] = []
        started_s = time.monotonic()
        threads = [
            threading.Thread(target=lambda channel=each: times_s.append(_round_trip_s(channel)))
            for each in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(times_s) == 2
        assert time.monotonic() - started_s < 2 * 5 * ROUND_TRIP_S * 3
        assert all(ROUND_TRIP_S <= each < 10 * ROUND_TRIP_S for each in times_s)


def test_a_refused_password_explains_itself_through_the_link(broker: Broker) -> None:
    wrong = dataclasses.replace(Address.parse(broker.url), password="wr0ng")
    with (
        Link(wrong.url, delay_ms=DELAY_MS) as link,
        pytest.raises(BrokerUnavailableError, match=r"refuses user.*Next: correct user and password"),
    ):
        connect(link.url)


def test_a_cut_holds_what_is_sent_and_delivers_it_afterwards_in_order(broker: Broker) -> None:
    with Link(broker) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.partitioned() as outage:
            for number in range(100):
                channel.basic_publish("", queue, b"%d" % number)
            channel.connection.sleep(0.2)
            assert channel.is_open

        assert outage.lasted_s >= 0.2
        assert _read_all(channel, queue, 100) == [b"%d" % number for number in range(100)]


def test_a_long_cut_is_noticed_by_heartbeats(broker: Broker) -> None:
    with (
        Link(broker) as link,
        _channel(f"{link.url}?heartbeat=1") as channel,
        _channel(broker.url) as direct,
    ):
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.partitioned():
            # The broker gives up the client, and deletes what was the client's alone.
            deadline_s = time.monotonic() + 20
            while _is_there(direct.connection, queue):
                assert time.monotonic() < deadline_s
                direct.connection.sleep(0.1)
            assert channel.is_open  # nobody could tell the client
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            channel.connection.sleep(5)


def _is_there(connection: pika.BlockingConnection, queue: str) -> bool:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        connection.channel().queue_declare(queue, passive=True)
    return caught.value.reply_code == 405  # another connection's, and not "not found"


def test_a_block_that_fails_ends_the_cut(broker: Broker) -> None:
    with Link(broker) as link:
        with pytest.raises(KeyboardInterrupt), link.partitioned():
            raise KeyboardInterrupt
        with _channel(link.url) as channel:
            assert channel.is_open
