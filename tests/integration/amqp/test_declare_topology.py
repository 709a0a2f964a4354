"""Topologies on a real broker: declared, compared with what is there, used, deleted."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from helpers import eventually, take_all
from pika.exceptions import ChannelClosedByBroker

from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.amqp._session import Session
from rmqlab.errors import BrokerError, TopologyMismatchError

EVERYTHING = Topology(
    exchanges=[
        Exchange(name="t:orders", type="topic", alternate_exchange="t:unrouted"),
        Exchange(name="t:unrouted", type="fanout"),
        Exchange(name="t:dead", type="direct"),
    ],
    queues=[
        Queue(
            name="t:work",
            dead_letter_exchange="t:dead",
            dead_letter_routing_key="late",
            max_length=100,
            max_priority=5,
            arguments={"x-message-ttl": 60_000},
        ),
        Queue(name="t:safe", type="quorum", delivery_limit=3, max_length=5, overflow="reject-publish"),
        Queue(name="t:dead"),
        Queue(name="t:lost"),
    ],
    bindings=[
        Binding(exchange="t:orders", queue="t:work", routing_key="*.high"),
        Binding(exchange="t:orders", queue="t:safe", routing_key="#.safe"),
        Binding(exchange="t:dead", queue="t:dead", routing_key="late"),
        Binding(exchange="t:unrouted", queue="t:lost"),
        Binding(exchange="amq.topic", queue="t:work", routing_key="t.#"),
    ],
)


def _exists(channel: Any, *, queue: str = "", exchange: str = "") -> bool:
    probe = channel.connection.channel()
    with contextlib.suppress(ChannelClosedByBroker):
        if queue:
            probe.queue_declare(queue, passive=True)
        else:
            probe.exchange_declare(exchange, passive=True)
        probe.close()
        return True
    return False


def test_declare_and_delete_twice(broker, channel) -> None:
    assert EVERYTHING.declare(broker) == EVERYTHING
    assert EVERYTHING.declare(broker) == EVERYTHING
    assert _exists(channel, queue="t:work")
    assert _exists(channel, exchange="t:orders")

    EVERYTHING.delete(broker)
    EVERYTHING.delete(broker)
    assert not any(_exists(channel, queue=each.name) for each in EVERYTHING.queues)
    assert not any(_exists(channel, exchange=each.name) for each in EVERYTHING.exchanges)


def test_delete_takes_a_queue_that_is_in_use_and_leaves_what_it_does_not_name(broker, channel) -> None:
    ours, theirs = Topology(queues=[Queue(name="t:ours")]), Topology(queues=[Queue(name="t:theirs")])
    ours.declare(broker)
    theirs.declare(broker)
    channel.basic_consume("t:ours", lambda *_: None)
    channel.basic_publish("", "t:ours", b"x")

    ours.delete(broker)

    assert not _exists(channel, queue="t:ours")
    assert _exists(channel, queue="t:theirs")
    theirs.delete(broker)


@pytest.mark.parametrize(
    ("there", "wanted", "named"),
    [
        (Queue(name="t:it's ü"), {"durable": False}, "durable"),
        (Queue(name="t:it's ü"), {"type": "quorum"}, "x-queue-type"),
        (Queue(name="t:it's ü", max_length=5), {"max_length": None}, "x-max-length"),
        (Queue(name="t:it's ü"), {"arguments": {"x-message-ttl": 600}}, "x-message-ttl"),
        (Queue(name="t:" + "y" * 220, max_length=5), {"max_length": 6}, "x-max-length"),
        (Exchange(name="t:e", type="direct"), {"type": "fanout"}, "type"),
        (Exchange(name="t:e", type="direct", alternate_exchange="t:x"), {"alternate_exchange": None}, "alt"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_mismatch_names_the_setting_and_what_was_declared_before(
    broker, channel, there, wanted, named: str
) -> None:
    kind = "queues" if isinstance(there, Queue) else "exchanges"
    Topology(**{kind: [there]}).declare(broker)
    here = Topology(exchanges=[Exchange(name="t:before", type="fanout")])
    here = dataclasses.replace(here, **{kind: (*getattr(here, kind), dataclasses.replace(there, **wanted))})
    try:
        with pytest.raises(TopologyMismatchError, match=f"inequivalent arg '{named}") as caught:
            here.declare(broker)
        assert caught.value.name == there.name
        assert "before it: exchange 't:before'. Next: " in str(caught.value)
        assert _exists(channel, exchange="t:before")
    finally:
        here.delete(broker)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_mismatch_of_exclusive_is_an_error_of_its_own(broker, wanted: bool) -> None:
    with (
        contextlib.closing(Session(broker, name="own")) as session,
        contextlib.closing(Session(broker, name="other")) as other,
    ):
        there = Topology(queues=[Queue(name="t:mine", exclusive=not wanted)]).declare(other)
        with pytest.raises(TopologyMismatchError, match="exclusive access"):
            Topology(queues=[Queue(name="t:mine", exclusive=wanted)]).declare(session)
        there.delete(other)


def test_an_exclusive_queue_needs_a_connection_that_stays(broker) -> None:
    with pytest.raises(ValueError, match="'t:mine' is exclusive"):
        Topology(queues=[Queue(name="t:mine", exclusive=True)]).declare(broker)


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (Topology(queues=(Queue(name="t:no", max_priority=256),)), "max.priority.*correct the setting"),
        (Topology(queues=(Queue(name="t:no", type="quorum", durable=False),)), "durable.*correct"),
        (Topology(queues=(Queue(name="amq.mine"),)), "reserved prefix 'amq"),
        (Topology(exchanges=(Exchange(name="", type="direct"),)), "default exchange"),
        (Topology(bindings=(Binding(exchange="t:none", queue="t:none"),)), "NOT_FOUND.*Next: see that"),
    ],
)
def test_a_refusal_has_the_words_of_the_broker(broker, topology: Topology, words: str) -> None:
    with pytest.raises(BrokerError, match=words) as caught:
        topology.declare(broker)
    assert "Next: " in str(caught.value)


def test_the_broker_names_a_queue(broker, channel) -> None:
    topology = Topology(
        exchanges=[Exchange(name="t:events", type="fanout")],
        queues=[Queue(name="", auto_delete=True)],
        bindings=[Binding(exchange="t:events", queue="")],
    )
    one, two = topology.declare(broker), topology.declare(broker)
    name = one.queues[0].name
    assert name.startswith("amq.gen-")
    assert name != two.queues[0].name
    assert one.bindings[0].queue == name

    channel.basic_publish("t:events", "", b"to both")
    assert [take_all(channel, each.queues[0].name) for each in (one, two)] == [[b"to both"]] * 2

    topology.delete(broker)  # names no queue
    assert _exists(channel, queue=name)
    one.delete(broker)
    assert not _exists(channel, queue=name)
    two.delete(broker)


def test_messages_and_dead_letters_take_the_ways_that_were_declared(broker, channel) -> None:
    EVERYTHING.declare(broker)
    channel.basic_publish("t:orders", "a.high", b"rejected")
    channel.basic_publish("t:orders", "very.safe", b"by another")
    channel.basic_publish("t:orders", "nowhere", b"unroutable")
    channel.basic_publish("amq.topic", "t.x", b"predefined")
    method, _, _ = channel.basic_get("t:work")
    channel.basic_reject(method.delivery_tag, requeue=False)

    assert take_all(channel, "t:work") == [b"predefined"]
    assert take_all(channel, "t:safe") == [b"by another"]
    assert take_all(channel, "t:lost") == [b"unroutable"]
    assert eventually(lambda: take_all(channel, "t:dead") == [b"rejected"])
    EVERYTHING.delete(broker)
