"""Topologies on a real broker: declared, compared with what is there, used, deleted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from helpers import eventually, take_all
from pika.exceptions import ChannelClosedByBroker

from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.errors import ChannelClosedError, TopologyMismatchError

EVERYTHING = Topology(
    exchanges=[Exchange(name="t:orders", type="topic"), Exchange(name="t:dead", type="direct")],
    queues=[
        Queue(
            name="t:work",
            dead_letter_exchange="t:dead",
            dead_letter_routing_key="late",
            max_priority=5,
            arguments={"x-message-ttl": 60_000},
        ),
        Queue(name="t:safe", type="quorum", delivery_limit=3),
        Queue(name="t:dead"),
    ],
    bindings=[
        Binding(exchange="t:orders", queue="t:work", routing_key="*.high"),
        Binding(exchange="t:orders", queue="t:safe", routing_key="#.safe"),
        Binding(exchange="t:dead", queue="t:dead", routing_key="late"),
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


def test_messages_take_the_ways_that_are_declared_twice_and_deleted_twice(broker, channel) -> None:
    assert EVERYTHING.declare(broker) == EVERYTHING.declare(broker) == EVERYTHING
    channel.basic_publish("t:orders", "a.high", b"rejected")
    channel.basic_publish("t:orders", "very.safe", b"by another")
    channel.basic_publish("amq.topic", "t.x", b"predefined")
    method, _, _ = channel.basic_get("t:work")
    channel.basic_reject(method.delivery_tag, requeue=False)
    assert take_all(channel, "t:work") == [b"predefined"]
    assert take_all(channel, "t:safe") == [b"by another"]
    assert eventually(lambda: take_all(channel, "t:dead") == [b"rejected"])

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
        (Queue(name="t:it's ü", max_priority=5), {"max_priority": None}, "x-max-priority"),
        (Queue(name="t:it's ü"), {"arguments": {"x-message-ttl": 600}}, "x-message-ttl"),
        (Exchange(name="t:it's ü", type="direct"), {"type": "fanout"}, "type"),
    ],
    ids=str,
)
def test_a_mismatch_names_the_setting(broker, there, wanted, named: str) -> None:
    kind = "queue" if isinstance(there, Queue) else "exchange"
    Topology(**{f"{kind}s": [there]}).declare(broker)
    here = Topology(**{f"{kind}s": [replace(there, **wanted)]})
    try:
        with pytest.raises(TopologyMismatchError, match=f"the {kind} .*inequivalent arg '{named}"):
            here.declare(broker)
    finally:
        here.delete(broker)


def test_a_mismatch_of_exclusive_is_an_error_of_its_own(broker, channel) -> None:
    channel.queue_declare("t:mine", exclusive=True)
    with pytest.raises(TopologyMismatchError, match="exclusive access"):
        Topology(queues=[Queue(name="t:mine")]).declare(broker)


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (Topology(queues=[Queue(name="t:no", max_priority=256)]), "max.priority"),
        (Topology(queues=[Queue(name="amq.mine")]), "reserved prefix 'amq"),
        (Topology(bindings=[Binding(exchange="t:none", queue="t:none")]), "NOT_FOUND.*declare what it names"),
    ],
)
def test_a_refusal_has_the_words_of_the_broker(broker, topology: Topology, words: str) -> None:
    with pytest.raises(ChannelClosedError, match=words):
        topology.declare(broker)


def test_the_broker_names_a_queue(broker, channel) -> None:
    topology = Topology(
        exchanges=[Exchange(name="t:events", type="fanout")],
        queues=[Queue(name="", auto_delete=True)],
        bindings=[Binding(exchange="t:events", queue="")],
    )
    declared = topology.declare(broker)
    name = declared.queues[0].name
    assert name.startswith("amq.gen-")
    channel.basic_publish("t:events", "", b"x")
    assert take_all(channel, name) == [b"x"]

    topology.delete(broker)  # names no queue
    assert _exists(channel, queue=name)
    declared.delete(broker)
    assert not _exists(channel, queue=name)
