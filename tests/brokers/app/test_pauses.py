"""Connections of a reader who thinks: nothing turns pika's loop for longer than heartbeats allow."""

from __future__ import annotations

import time

import pika
import pytest

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology, connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, Task

QUEUE = "rmqlab-test-pause"
PAUSE_S = 7  # over three times the heartbeat that the broker proposes


def test_connections_to_a_broker_of_the_lab_outlast_a_pause(impatient: Broker) -> None:
    topology = Topology(queues=(Queue(name=QUEUE),))
    received: list[bytes] = []
    with (
        pika.BlockingConnection(impatient.parameters) as plain,
        pika.BlockingConnection(pika.URLParameters(impatient.url)) as by_url,
        connect(impatient) as connected,
        Publisher(impatient, routing_key=QUEUE, topology=topology) as publisher,
        Publisher(impatient, routing_key=QUEUE, recovery=Recovery()) as recovering,
        Consumer(impatient, QUEUE, lambda _method, _properties, body: received.append(body)) as consumer,
        EngineAPI(impatient) as api,
    ):
        channels = [connection.channel() for connection in (plain, by_url, connected)]
        time.sleep(PAUSE_S)
        for channel in (channels[0], channels[2]):
            channel.basic_publish("", QUEUE, b"task")
            assert channel.queue_declare(QUEUE, passive=True).method.queue == QUEUE
        publisher.publish(b"task")
        recovering.publish(b"task")
        for each in (publisher, recovering):
            each.flush()
            assert each.confirmed == 1
        consumer.run(count=4, for_s=10)
        api.publish_task(Task("engine-1", "process", {}))
        # A URL behaves as it says, which shows that the pause was long enough.
        with pytest.raises(pika.exceptions.AMQPError):
            channels[1].queue_declare(QUEUE, passive=True)

    assert received == [b"task"] * 4
    assert publisher.republished == recovering.republished == 0
