"""A link to a real broker: what it carries, and what a cut does to clients."""

from __future__ import annotations

import os

import pika
import pytest
from helpers import channel_to, eventually, take_all

from rmqlab.broker import Broker, Link

pytestmark = pytest.mark.usefixtures("no_link_stays")


def test_a_large_body_passes_intact_both_ways(broker: Broker) -> None:
    body = os.urandom(1_000_000)
    with Link(broker, delay_ms=20) as link, channel_to(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, body)

        assert take_all(channel, queue) == [body]


def test_a_long_cut_is_noticed_by_heartbeats(broker: Broker) -> None:
    with (
        Link(broker) as link,
        channel_to(f"{link.url}?heartbeat=1") as channel,
        channel_to(broker.url) as direct,
    ):
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.partitioned():
            # The broker gives up the client, and deletes what was the client's alone.
            assert eventually(lambda: not _is_there(direct.connection, queue))
            assert channel.is_open  # nobody could tell the client
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            channel.connection.sleep(5)


def _is_there(connection: pika.BlockingConnection, queue: str) -> bool:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        connection.channel().queue_declare(queue, passive=True)
    return caught.value.reply_code == 405  # another connection's, and not "not found"
