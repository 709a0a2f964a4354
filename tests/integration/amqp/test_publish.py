"""The publisher against a real broker: what is confirmed, refused, returned, and when it waits."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pika
import psutil
import pytest
from helpers import take_all

from rmqlab.amqp import (
    Confirms,
    Publisher,
    Queue,
    Topology,
    confirm_batch,
    confirm_each,
    confirm_window,
    fire_and_forget,
)
from rmqlab.amqp._write_buffer import BufferedConnection
from rmqlab.broker import Link
from rmqlab.errors import BrokerError, ChannelClosedError, TimeLimitError
from rmqlab.measure import Ledger

STRATEGIES = [fire_and_forget(), confirm_each(), confirm_batch(7), confirm_window(1), confirm_window(50)]
TOO_LARGE = 16 * 1024 * 1024 + 1


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("confirms", STRATEGIES, ids=str)
def test_every_message_arrives_once_and_in_order(
    broker, channel, queue, confirms: Confirms, one_by_one: bool
) -> None:
    bodies = [str(number).encode() for number in range(333)]
    ledger = Ledger(clock=itertools.count(1).__next__)  # so that no two times are the same
    with Publisher(broker, routing_key=queue, confirms=confirms, observer=ledger.publisher()) as publisher:
        if one_by_one:
            assert [publisher.publish(body) for body in bodies] == list(range(333))
        else:
            assert publisher.publish_all(bodies) == 333
    broker_has = take_all(channel, queue)

    assert broker_has == bodies
    messages, totals = ledger.account().messages, ledger.totals()
    assert totals.published == 333
    if confirms.limit is None:
        assert totals.confirmed == totals.nacked == 0
    else:
        assert totals.confirmed == publisher.confirmed == 333
        assert publisher.unconfirmed == 0
        confirmed_before = np.searchsorted(np.sort(messages["confirmed_ns"]), messages["published_ns"])
        assert (np.arange(1, 334) - confirmed_before).max() <= confirms.limit


def test_messages_are_persistent_unless_told_otherwise(broker, channel, queue) -> None:
    with Publisher(broker, routing_key=queue) as publisher:
        publisher.publish(b"default")
        publisher.publish(b"own", properties=pika.BasicProperties(message_id="m"))

    assert channel.basic_get(queue, auto_ack=True)[1].delivery_mode == 2
    assert channel.basic_get(queue, auto_ack=True)[1].message_id == "m"


@pytest.mark.parametrize("confirms", [fire_and_forget(), confirm_window(50)], ids=str)
def test_a_message_is_on_its_way_when_publish_returns(broker, queue, confirms: Confirms) -> None:
    with Publisher(broker, routing_key=queue, confirms=confirms) as publisher:
        publisher.publish(b"alone")
        broker.wait_for_queue(queue, ready=1)  # though the publisher does nothing more


def test_an_empty_and_a_large_body_arrive_whole(broker, channel, queue) -> None:
    large = bytes(range(256)) * 4096  # several frames
    with Publisher(broker, routing_key=queue, confirms=confirm_window(10)) as publisher:
        publisher.publish_all([b"", large, b"end"])

    assert take_all(channel, queue) == [b"", large, b"end"]


@pytest.mark.parametrize("confirms", [confirm_each(), confirm_window(20)], ids=str)
def test_a_full_queue_that_rejects_is_reported_by_number(broker, channel, confirms) -> None:
    limits = {"x-max-length": 5, "x-overflow": "reject-publish"}
    full = Topology(queues=[Queue(name="full", arguments=limits)])
    full.delete(broker)
    ledger = Ledger()
    with Publisher(
        broker, routing_key="full", topology=full, confirms=confirms, observer=ledger.publisher()
    ) as publisher:
        publisher.publish_all(b"x" for _ in range(100))
    queued = channel.queue_delete("full").method.message_count

    assert publisher.confirmed + publisher.nacked == 100
    assert publisher.confirmed == queued
    assert publisher.nacked > 0
    assert ledger.totals().confirmed == publisher.confirmed
    assert ledger.totals().nacked == publisher.nacked


def test_an_exchange_that_is_not_there_is_a_named_error(broker) -> None:
    with (
        pytest.raises(ChannelClosedError, match=r"no exchange 'nowhere'.*Next: declare"),
        Publisher(broker) as publisher,
    ):
        publisher.publish(b"x", exchange="nowhere")

    assert (publisher.confirmed, publisher.unconfirmed) == (0, 1)


def test_a_message_over_the_brokers_limit_is_a_named_error(broker, channel, queue) -> None:
    if int(broker.version.partition(".")[0]) < 4:
        pytest.skip("RabbitMQ before 4.0 takes messages up to 128 MiB")
    with (
        pytest.raises(ChannelClosedError, match=r"size.*Next: send smaller"),
        Publisher(broker, routing_key=queue) as publisher,
    ):
        publisher.publish(b"fits")
        publisher.publish(bytes(TOO_LARGE))

    assert take_all(channel, queue) == [b"fits"]


def test_a_closed_publisher_says_so_and_can_be_closed_again(broker, queue) -> None:
    with pytest.raises(ZeroDivisionError), Publisher(broker, routing_key=queue) as publisher:
        publisher.publish(b"x")
        raise ZeroDivisionError
    publisher.close()

    with pytest.raises(BrokerError, match="is closed"):
        publisher.publish(b"x")
    with pytest.raises(BrokerError, match="is closed"):
        publisher.flush()


def test_confirms_that_do_not_come_end_at_the_time_limit(broker, queue) -> None:
    with Link(broker) as link, Publisher(link.url, routing_key=queue, timeout_s=0.2) as publisher:
        with link.partitioned():
            publisher.publish(b"x")
            with pytest.raises(TimeLimitError, match=r"publisher waited 0.2 s for confirms.*Next: "):
                publisher.flush()
            publisher.stop()


@pytest.mark.parametrize("make", [confirm_window, confirm_batch])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_go_from_one(make, size: int) -> None:
    with pytest.raises(ValueError, match=f"of {size} messages; it goes from 1"):
        make(size)


def test_many_publishers_leave_no_thread_and_no_descriptor(broker, queue) -> None:
    process = psutil.Process()

    def round_trip() -> None:
        with Publisher(broker, routing_key=queue) as publisher:
            publisher.publish(b"x")

    round_trip()
    before = process.num_fds(), threading.active_count()
    for _ in range(10):
        round_trip()
    assert (process.num_fds(), threading.active_count()) == before


def test_a_window_of_messages_goes_out_in_batches(broker, queue, monkeypatch) -> None:
    batches: list[int] = []
    send = BufferedConnection._send

    def count(self: BufferedConnection, data: bytes) -> None:
        batches.append(len(data))
        send(self, data)

    with Publisher(broker, routing_key=queue, confirms=confirm_window(400)) as publisher:
        monkeypatch.setattr(BufferedConnection, "_send", count)
        publisher.publish_all(b"x" * 100 for _ in range(400))
        monkeypatch.undo()

    assert len(batches) == 4  # a quarter of the window each
    assert min(batches) > 100 * 100
