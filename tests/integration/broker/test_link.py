"""A link to a real broker: what it delays, and what a cut does to clients."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
from helpers import channel_to, take_all
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.broker import Broker, Link

DELAY_MS = 20
ROUND_TRIP_S = 2 * DELAY_MS / 1000


pytestmark = pytest.mark.usefixtures("no_link_stays")


def _round_trip_s(channel: BlockingChannel) -> float:
    """Measure the quickest of a few round trips: what else runs only ever adds."""
    times_s = []
    for _ in range(5):
        started_s = time.monotonic()
        channel.basic_qos(prefetch_count=1)  # asks, and waits for the answer
        times_s.append(time.monotonic() - started_s)
    return min(times_s)


def test_a_large_body_passes_intact_both_ways(broker: Broker) -> None:
    body = os.urandom(1_000_000)
    with Link(broker, delay_ms=DELAY_MS) as link, channel_to(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, body)

        assert take_all(channel, queue) == [body]


def test_a_round_trip_takes_twice_the_delay_and_two_connections_do_not_hold_up_each_other(
    broker: Broker,
) -> None:
    with (
        Link(broker, delay_ms=DELAY_MS) as link,
        channel_to(link.url) as one,
        channel_to(link.url) as two,
        ThreadPoolExecutor(2) as threads,
    ):
        started_s = time.monotonic()
        times_s = list(threads.map(_round_trip_s, (one, two)))

        assert time.monotonic() - started_s < 2 * 5 * ROUND_TRIP_S * 3
        assert all(ROUND_TRIP_S <= each < 10 * ROUND_TRIP_S for each in times_s)


def test_a_long_cut_is_noticed_by_heartbeats(broker: Broker) -> None:
    with (
        Link(broker) as link,
        channel_to(f"{link.url}?heartbeat=1") as channel,
        channel_to(broker.url) as direct,
    ):
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.partitioned():
            # The broker gives up the client, and deletes what was the client's alone.
            deadline_s = time.monotonic() + 20
            while _is_there(direct.connection, queue):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
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
        with channel_to(link.url) as channel:
            assert channel.is_open
