"""Topologies on a real broker: declared, compared with what is there, used, deleted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import pika
import pytest
from helpers import eventually, take_all
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.errors import BrokerError, BrokerUnavailableError, TopologyMismatchError

EVERYTHING = Topology(
    exchanges=[
        Exchange(name="t:orders", type="topic", alternate_exchange="t:unrouted"),
        Exchange(name="t:unrouted", type="fanout"),
        Exchange(name="t:dead", type="direct", internal=True),
        Exchange(name="t:headers", type="headers"),
    ],
    queues=[
        Queue(
            name="t:work",
            dead_letter_exchange="t:dead",
            dead_letter_routing_key="late",
            message_ttl_ms=60_000,
            expires_ms=600_000,
            max_length=100,
            max_length_bytes=100_000,
            overflow="reject-publish-dlx",
            max_priority=5,
            single_active_consumer=True,
            arguments={"x-queue-mode": "lazy"},
        ),
        Queue(name="t:safe", type="quorum", delivery_limit=3, max_length=5, overflow="reject-publish"),
        Queue(name="t:dead"),
        Queue(name="t:lost"),
    ],
    bindings=[
        Binding(exchange="t:orders", queue="t:work", routing_key="*.high"),
        Binding(exchange="t:orders", destination_exchange="t:headers", routing_key="#.safe"),
        Binding(exchange="t:headers", queue="t:safe", arguments={"x-match": "any", "kind": "safe"}),
        Binding(exchange="t:dead", queue="t:dead", routing_key="late"),
        Binding(exchange="t:unrouted", queue="t:lost"),
        Binding(exchange="amq.topic", queue="t:work", routing_key="t.#"),
    ],
)


@pytest.fixture
def declared(channel) -> Iterator[Topology]:
    yield EVERYTHING.declare(channel)
    EVERYTHING.delete(channel)


def _exists(channel: BlockingChannel, *, queue: str = "", exchange: str = "") -> bool:
    probe = channel.connection.channel()
    with contextlib.suppress(ChannelClosedByBroker):
        if queue:
            probe.queue_declare(queue, passive=True)
        else:
            probe.exchange_declare(exchange, passive=True)
        probe.close()
        return True
    return False


@pytest.mark.parametrize("by", ["broker", "url", "channel"])
def test_declare_and_delete_twice(broker, channel, by: str) -> None:
    target = {"broker": broker, "url": broker.url, "channel": channel}[by]
    assert EVERYTHING.declare(target) == EVERYTHING
    assert EVERYTHING.declare(target) == EVERYTHING
    assert _exists(channel, queue="t:work")
    assert _exists(channel, exchange="t:orders")

    EVERYTHING.delete(target)
    EVERYTHING.delete(target)
    assert not any(_exists(channel, queue=each.name) for each in EVERYTHING.queues)
    assert not any(_exists(channel, exchange=each.name) for each in EVERYTHING.exchanges)


def test_delete_leaves_what_it_does_not_name(channel) -> None:
    ours, theirs = Topology(queues=[Queue(name="t:ours")]), Topology(queues=[Queue(name="t:theirs")])
    ours.declare(channel)
    theirs.declare(channel)

    ours.delete(channel)

    assert not _exists(channel, queue="t:ours")
    assert _exists(channel, queue="t:theirs")
    theirs.delete(channel)


def test_delete_takes_a_queue_that_is_in_use(channel, declared) -> None:
    channel.basic_consume("t:dead", lambda *_: None)
    channel.basic_publish("", "t:dead", b"x")

    EVERYTHING.delete(channel)

    assert not _exists(channel, queue="t:dead")


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (Queue(name="t:it's ü", message_ttl_ms=500), {"message_ttl_ms": 600}),
        (Queue(name="t:it's ü"), {"durable": False}),
        (Queue(name="t:it's ü"), {"type": "quorum"}),
        (Queue(name="t:it's ü", type="quorum"), {"type": "classic"}),
        (Queue(name="t:it's ü", max_length=5), {"max_length": None}),
        (Queue(name="t:it's ü"), {"dead_letter_exchange": "t:it's ' there"}),
        (Queue(name="t:it's ü", single_active_consumer=True), {"single_active_consumer": False}),
        (Queue(name="t:" + "y" * 220, max_length=5), {"max_length": 6}),  # longer than the broker's text
        (Exchange(name="t:e", type="direct"), {"type": "fanout"}),
        (Exchange(name="t:e", type="direct"), {"internal": True}),
        (Exchange(name="t:e", type="direct", alternate_exchange="t:x"), {"alternate_exchange": None}),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_mismatch_names_the_field_and_what_was_declared_before(channel, there, wanted) -> None:
    kind = "queues" if isinstance(there, Queue) else "exchanges"
    before = Exchange(name="t:before", type="fanout")
    Topology(**{kind: [there]}).declare(channel)
    here = Topology(exchanges=[before])
    changed = dataclasses.replace(there, **wanted)
    here = dataclasses.replace(here, **{kind: (*getattr(here, kind), changed)})
    try:
        with pytest.raises(TopologyMismatchError) as caught:
            here.declare(channel)
        error = caught.value
        assert ({error.field: error.wanted}, error.name) == (wanted, there.name)
        assert "declared before it: exchange 't:before'. Next: " in str(error)
        assert _exists(channel, exchange="t:before")
        assert channel.is_open
    finally:
        here.delete(channel)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_mismatch_of_exclusive_is_an_error_of_its_own(broker, channel, wanted: bool) -> None:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as other:
        Topology(queues=[Queue(name="t:mine", exclusive=not wanted)]).declare(other.channel())
        with pytest.raises(TopologyMismatchError, match="another exclusive") as caught:
            Topology(queues=[Queue(name="t:mine", exclusive=wanted)]).declare(channel)
        assert (caught.value.field, caught.value.wanted) == ("exclusive", wanted)
        other.channel().queue_delete("t:mine")


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (Topology(queues=(Queue(name="t:no", max_priority=256),)), "max.priority.*correct the setting"),
        (Topology(queues=(Queue(name="t:no", message_ttl_ms=-1),)), "x-message-ttl.*correct the setting"),
        (Topology(queues=(Queue(name="t:no", dead_letter_routing_key="k"),)), "dead-letter-routing-key|dlx"),
        (Topology(queues=(Queue(name="t:no", type="quorum", durable=False),)), "durable.*correct"),
        (Topology(queues=(Queue(name="t:no", type="quorum", auto_delete=True),)), "auto.delete.*correct"),
        (Topology(queues=(Queue(name="amq.mine"),)), "reserved prefix 'amq"),
        (Topology(exchanges=(Exchange(name="", type="direct"),)), "default exchange"),
        (Topology(bindings=(Binding(exchange="t:none", queue="t:none"),)), "NOT_FOUND.*Next: see that"),
    ],
)
def test_a_refusal_has_the_words_of_the_broker(channel, topology: Topology, words: str) -> None:
    with pytest.raises(BrokerError, match=words) as caught:
        topology.declare(channel)
    assert "Next: " in str(caught.value)
    assert channel.is_open


def test_what_pika_cannot_send_is_an_error(channel) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        Topology(queues=(Queue(name="x" * 256),)).declare(channel)
    with pytest.raises(ValueError, match="cannot be sent"):
        Topology(queues=(Queue(name="t:no", arguments={"x-odd": object()}),)).declare(channel)


def test_the_broker_names_a_queue(channel) -> None:
    topology = Topology(
        exchanges=[Exchange(name="t:events", type="fanout")],
        queues=[Queue(name="", exclusive=True, durable=False)],
        bindings=[Binding(exchange="t:events", queue="")],
    )
    one, two = topology.declare(channel), topology.declare(channel)
    name = one.queues[0].name
    assert name.startswith("amq.gen-")
    assert name != two.queues[0].name
    assert one.bindings[0].queue == name

    channel.basic_publish("t:events", "", b"to both")
    assert [take_all(channel, each.queues[0].name) for each in (one, two)] == [[b"to both"]] * 2

    topology.delete(channel)  # names no queue
    assert _exists(channel, queue=name)
    one.delete(channel)
    assert not _exists(channel, queue=name)


def test_messages_take_the_ways_that_were_declared(channel, declared) -> None:
    safe = pika.BasicProperties(headers={"kind": "safe"})
    channel.basic_publish("t:orders", "a.high", b"by pattern")
    channel.basic_publish("t:orders", "very.safe", b"by headers", properties=safe)
    channel.basic_publish("t:orders", "nowhere", b"unroutable")
    channel.basic_publish("amq.topic", "t.x", b"predefined")

    assert take_all(channel, "t:work") == [b"by pattern", b"predefined"]
    assert take_all(channel, "t:safe") == [b"by headers"]
    assert take_all(channel, "t:lost") == [b"unroutable"]


def test_dead_letters_go_where_the_topology_says(channel, declared) -> None:
    channel.basic_publish("t:orders", "a.high", b"rejected")
    method, _, _ = channel.basic_get("t:work")
    channel.basic_reject(method.delivery_tag, requeue=False)

    assert eventually(lambda: take_all(channel, "t:dead") == [b"rejected"])


def test_a_lost_connection_is_an_error(broker) -> None:
    connection = pika.BlockingConnection(broker.parameters)
    channel = connection.channel()
    connection.close()
    with pytest.raises(BrokerError, match=r"connection is gone.*Next: "):
        EVERYTHING.declare(channel)


def test_no_broker_is_an_error() -> None:
    with pytest.raises(BrokerUnavailableError):
        EVERYTHING.declare("amqp://127.0.0.1:1")
