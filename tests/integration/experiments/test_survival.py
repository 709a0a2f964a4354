"""What is left of messages when something happens to their broker, and what confirms cost.

The faults here are mild ones that any broker bears: lesson 07 kills one.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import pandas as pd
import pika
import pytest

from rmqlab.amqp import Publisher, Queue, confirm_each, confirm_window, connect, fire_and_forget
from rmqlab.broker import Broker, Link
from rmqlab.errors import BrokerError
from rmqlab.experiments import measure_durability, publish_for
from rmqlab.measure import Load, publish_load

QUEUE = "engine:tasks"
PERSISTENT = {"persistent": pika.BasicProperties(delivery_mode=2)}
CONFIRMS = {"none": fire_and_forget(), "confirmed": confirm_window()}
COUNTS = ["published", "presumed_safe", "survived", "lost", "in_doubt"]
DELAY_MS = 5.0


def _on_channel(broker: Broker, act: Callable[[pika.channel.Channel], object]) -> None:
    with contextlib.closing(connect(broker)) as connection:
        act(connection.channel())


def _count(broker: Broker, fault: Callable[[], object], **queues: Queue) -> pd.DataFrame:
    frame = measure_durability(
        broker,
        fault,
        queues=queues or {"classic": Queue(name=QUEUE)},
        messages=PERSISTENT,
        confirms=CONFIRMS,
        rate_msg_s=100,
        for_s=0.3,
        progress=False,
    )
    return frame.set_index("confirms")


def _wait_for_messages(broker: Broker, count: int = 1) -> None:
    """Wait until each of the queues has so many messages."""
    deadline_s = time.monotonic() + 20
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        for name in broker.queues()["name"]:
            while channel.queue_declare(name, passive=True).method.message_count < count:
                assert time.monotonic() < deadline_s
                connection.sleep(0.01)


@pytest.fixture
def queue(broker: Broker) -> Iterator[str]:
    _on_channel(broker, lambda channel: channel.queue_declare(QUEUE, durable=True))
    yield QUEUE
    _on_channel(broker, lambda channel: channel.queue_delete(QUEUE))


def test_all_survives_where_nothing_happens(broker) -> None:
    fates = _count(broker, lambda: _wait_for_messages(broker))

    assert (fates["published"] > 0).all()
    assert (fates["lost"] == 0).all()
    assert (fates["survived"] == fates["presumed_safe"]).all()
    assert (fates["published"] == fates["presumed_safe"] + fates["in_doubt"]).all()
    assert fates["in_doubt"]["none"] == 0
    assert (fates["rabbitmq"] == broker.version).all()


def test_what_is_gone_is_lost_whatever_was_confirmed(broker) -> None:
    def delete_both() -> None:
        _wait_for_messages(broker)
        for name in broker.queues()["name"]:
            _on_channel(broker, lambda channel, name=name: channel.queue_delete(name))

    fates = _count(broker, delete_both)

    assert (fates["presumed_safe"] > 0).all()
    assert (fates["survived"] == 0).all()
    assert (fates["lost"] == fates["presumed_safe"]).all()


def test_refused_messages_are_in_doubt_and_not_lost(broker) -> None:
    def overflow() -> None:
        _wait_for_messages(broker, 5)
        time.sleep(0.5)  # for 50 messages more

    fates = _count(broker, overflow, full=Queue(name=QUEUE, max_length=5, overflow="reject-publish"))

    assert fates.loc["confirmed", ["survived", "lost"]].tolist() == [5, 0]
    assert fates["in_doubt"]["confirmed"] > 0
    assert fates["lost"]["none"] > 0


def test_a_refused_queue_has_nothing(broker) -> None:
    # Names that begin so are the broker's to give: it refuses one that it has not given.
    refused = Queue(name="amq.gen-rmqlab", durable=False)

    classic = Queue(name=QUEUE)
    fates = _count(broker, lambda: _wait_for_messages(broker), refused=refused, classic=classic)
    fates = fates.set_index("queue")

    assert (fates.loc["refused", COUNTS] == 0).all().all()
    assert (fates.loc["classic", "published"] > 0).all()


def test_somebody_has_to_have_a_queue(broker) -> None:
    with pytest.raises(BrokerError, match="refuses all"):
        _count(broker, lambda: None, refused=Queue(name="amq.gen-rmqlab", durable=False))


def test_no_queue_is_left_behind(broker) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _count(broker, fail)

    assert not [name for name in broker.queues()["name"] if name.startswith(QUEUE)]


def test_a_publisher_is_measured_until_all_is_confirmed(broker, queue) -> None:
    measured = publish_for(broker, queue, confirms=confirm_window(100), seconds=0.1)

    assert measured["strategy"] == "window 100"
    assert measured["published"] == measured["confirmed"] > 0
    assert measured["rate_msg_s"] > 0
    assert 0 < measured["confirm_median_ms"] <= measured["confirm_p95_ms"] <= measured["confirm_p99_ms"]
    assert measured["rabbitmq"] == broker.version
    assert broker.wait_for_queue(queue, ready=0)["ready"].item() == 0


def test_without_confirms_there_is_no_latency(broker, queue) -> None:
    measured = publish_for(broker, queue, confirms=fire_and_forget(), seconds=0.05)

    assert measured["confirmed"] == 0
    assert measured["confirm_median_ms"] != measured["confirm_median_ms"]  # NaN


def test_each_confirm_takes_a_round_trip(broker, queue) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link:
        measured = publish_for(link.url, queue, confirms=confirm_each(), seconds=0.1)

    assert measured["rate_msg_s"] <= 1000 / (2 * DELAY_MS)
    assert measured["confirm_median_ms"] >= 2 * DELAY_MS
    assert "rabbitmq" not in measured


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_it_takes_some_time(broker, seconds) -> None:
    with pytest.raises(ValueError, match="seconds"):
        publish_for(broker, QUEUE, confirms=confirm_each(), seconds=seconds)


@pytest.mark.parametrize("rate", [None, 1000])
def test_a_bar_shows_how_much_is_published(broker, queue, rate, capsys) -> None:
    load = Load(10, rate_msg_s=rate)
    with Publisher(broker, routing_key=queue) as publisher:
        publish_load(publisher, load)
        quiet = capsys.readouterr()
        publish_load(publisher, load.again(), progress=True)
        shown = capsys.readouterr()

    assert quiet.out + quiet.err + shown.err == ""
    assert "10/10" in shown.out


@pytest.mark.parametrize("rate", [None, 10_000])
def test_a_load_can_be_ended_before_its_end(broker, queue, rate, capsys) -> None:
    load = Load(1000, rate_msg_s=rate)
    with Publisher(broker, routing_key=queue) as publisher:
        for _ in range(2):  # each call counts its own
            asked = itertools.count(1)
            count = publish_load(publisher, load, until=lambda asked=asked: next(asked) > 7, progress=True)
            assert count == 7

    assert publisher.confirmed == 14
    assert "7message" in capsys.readouterr().out
