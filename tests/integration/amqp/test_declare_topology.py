"""Topologies on a real broker: declared, compared with what is there, used, deleted."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.errors import BrokerError, BrokerUnavailableError, TopologyMismatchError

WAIT_S = 10  # for a message that is on its way; never waited out when all is well

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
def channel(broker) -> Iterator[BlockingChannel]:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        channel = connection.channel()
        yield channel


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


def _get(channel: BlockingChannel, queue: str) -> bytes:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        _, _, body = channel.basic_get(queue, auto_ack=True)
        if body is not None:
            return bytes(body)
        time.sleep(0.01)
    raise AssertionError(f"no message came to {queue}")


@pytest.mark.parametrize("by", ["broker", "url", "channel"])
def test_declare_and_delete_twice(broker, channel, by: str) -> None:
    where = {"broker": broker, "url": broker.url, "channel": channel}[by]
    assert EVERYTHING.declare(where) == EVERYTHING
    assert EVERYTHING.declare(where) == EVERYTHING
    assert _exists(channel, queue="t:work")
    assert _exists(channel, exchange="t:orders")

    EVERYTHING.delete(where)
    EVERYTHING.delete(where)
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


def test_delete_undoes_a_binding_between_predefined_exchanges(channel) -> None:
    across = Topology(
        queues=[Queue(name="t:q")],
        bindings=[
            Binding(exchange="amq.topic", destination_exchange="amq.fanout", routing_key="t.across"),
            Binding(exchange="amq.fanout", queue="t:q"),
        ],
    )
    across.declare(channel)
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "t.across", b"x", mandatory=True)
    assert _get(channel, "t:q") == b"x"

    across.delete(channel)
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("amq.topic", "t.across", b"x", mandatory=True)


@pytest.mark.parametrize(
    ("field", "wanted", "found", "others"),
    [
        ("durable", False, True, {}),
        ("auto_delete", True, False, {}),
        ("type", "quorum", "classic", {}),
        ("message_ttl_ms", 600, 500, {}),
        ("message_ttl_ms", 600, None, {}),
        ("message_ttl_ms", None, 500, {}),
        ("max_length", 6, 5, {}),
        ("max_length_bytes", 6, 5, {}),
        ("max_priority", 6, 5, {}),
        ("expires_ms", 60_000, 50_000, {}),
        ("overflow", "reject-publish", "drop-head", {"max_length": 5}),
        ("dead_letter_exchange", "t:it's ' there", "t:here", {}),
        ("dead_letter_routing_key", "there", None, {"dead_letter_exchange": "t:here"}),
        ("single_active_consumer", True, False, {}),
        ("single_active_consumer", False, True, {}),
        ("delivery_limit", 4, 3, {"type": "quorum"}),
    ],
)
def test_a_mismatch_of_a_queue_names_the_field(channel, field: str, wanted, found, others) -> None:
    there = Topology(queues=[Queue(name="t:it's ü", **others, **{field: found})])
    here = Topology(
        exchanges=[Exchange(name="t:before", type="fanout")],
        queues=[Queue(name="t:it's ü", **others, **{field: wanted}), Queue(name="t:after")],
    )
    there.declare(channel)
    try:
        with pytest.raises(TopologyMismatchError) as caught:
            here.declare(channel)
        error = caught.value
        assert (error.name, error.field, error.wanted, error.found) == ("t:it's ü", field, wanted, found)
        assert "declared before it: exchange 't:before'" in str(error)
        assert _exists(channel, exchange="t:before")
        assert not _exists(channel, queue="t:after")
        assert channel.is_open
    finally:
        here.delete(channel)


def test_a_mismatch_of_the_type_the_other_way_round(channel) -> None:
    Topology(queues=[Queue(name="t:q", type="quorum")]).declare(channel)
    try:
        with pytest.raises(
            TopologyMismatchError, match=r"has type 'quorum' on the broker, and not 'classic'"
        ):
            Topology(queues=[Queue(name="t:q")]).declare(channel)
    finally:
        Topology(queues=[Queue(name="t:q")]).delete(channel)


@pytest.mark.parametrize(
    ("field", "wanted", "found"),
    [
        ("type", "fanout", "direct"),
        ("durable", False, True),
        ("auto_delete", True, False),
        ("internal", True, False),
        ("alternate_exchange", "t:there", None),
        ("alternate_exchange", None, "t:here"),
        ("alternate_exchange", "t:there", "t:here"),
    ],
)
def test_a_mismatch_of_an_exchange_names_the_field(broker, channel, field: str, wanted, found) -> None:
    there = Exchange(**{"name": "t:e", "type": "direct", field: found})
    Topology(exchanges=[there]).declare(channel)
    here = Topology(exchanges=[dataclasses.replace(there, **{field: wanted})])
    try:
        with pytest.raises(TopologyMismatchError) as caught:
            here.declare(broker)
        error = caught.value
        assert (error.name, error.field, error.wanted, error.found) == ("t:e", field, wanted, found)
        assert "nothing was declared before it" in str(error)
    finally:
        here.delete(channel)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_mismatch_of_exclusive_is_told(broker, channel, wanted: bool) -> None:
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as other:
        Topology(queues=[Queue(name="t:mine", exclusive=not wanted)]).declare(other.channel())
        with pytest.raises(TopologyMismatchError, match="has exclusive") as caught:
            Topology(queues=[Queue(name="t:mine", exclusive=wanted)]).declare(channel)
        assert (caught.value.field, caught.value.wanted) == ("exclusive", wanted)
        other.channel().queue_delete("t:mine")


def test_a_mismatch_that_the_brokers_text_has_no_room_for_still_names_the_field(channel) -> None:
    name = "t:" + "y" * 220
    Topology(queues=[Queue(name=name, max_length=5)]).declare(channel)
    try:
        with pytest.raises(TopologyMismatchError, match="another max_length on the broker than 6") as caught:
            Topology(queues=[Queue(name=name, max_length=6)]).declare(channel)
        assert (caught.value.field, caught.value.found) == ("max_length", None)
    finally:
        channel.queue_delete(name)


def test_what_else_the_broker_refuses_is_passed_on(channel) -> None:
    odd = Topology(queues=[Queue(name="t:odd", type="quorum", arguments={"x-queue-leader-locator": "near"})])
    with pytest.raises(
        BrokerError, match=r"refuses to declare the queue 't:odd'.*x-queue-leader-locator.*Next: "
    ) as caught:
        odd.declare(channel)
    assert not isinstance(caught.value, TopologyMismatchError)


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
def test_a_setting_that_the_broker_refuses_is_told_in_its_words(
    channel, topology: Topology, words: str
) -> None:
    with pytest.raises(BrokerError, match=words) as caught:
        topology.declare(channel)
    assert "Next: " in str(caught.value)
    assert channel.is_open


def test_what_pika_cannot_send_is_told(channel) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        Topology(queues=(Queue(name="x" * 256),)).declare(channel)
    with pytest.raises(ValueError, match="cannot be sent"):
        Topology(queues=(Queue(name="t:no", arguments={"x-odd": object()}),)).declare(channel)


def test_a_queue_declared_by_hand_is_the_same_classic_queue(channel) -> None:
    channel.queue_declare("t:plain", durable=True)
    plain = Topology(queues=[Queue(name="t:plain")])
    plain.declare(channel)
    channel.queue_declare("t:plain", durable=True)
    plain.delete(channel)


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
    assert one.declare(channel) == one

    channel.basic_publish("t:events", "", b"to both")
    assert [_get(channel, each.queues[0].name) for each in (one, two)] == [b"to both"] * 2

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

    assert [_get(channel, "t:work") for _ in range(2)] == [b"by pattern", b"predefined"]
    assert _get(channel, "t:safe") == b"by headers"
    assert _get(channel, "t:lost") == b"unroutable"


def test_dead_letters_go_where_the_topology_says(channel, declared) -> None:
    channel.basic_publish("t:orders", "a.high", b"rejected")
    deadline = time.monotonic() + WAIT_S
    while (method := channel.basic_get("t:work")[0]) is None:
        assert time.monotonic() < deadline
    channel.basic_reject(method.delivery_tag, requeue=False)

    assert _get(channel, "t:dead") == b"rejected"


def test_expired_messages_are_dead_letters(channel) -> None:
    topology = Topology(
        queues=[
            Queue(name="t:wait", message_ttl_ms=0, dead_letter_exchange="", dead_letter_routing_key="t:end"),
            Queue(name="t:end"),
        ]
    )
    topology.declare(channel)
    channel.basic_publish("", "t:wait", b"late")
    assert _get(channel, "t:end") == b"late"
    topology.delete(channel)


def test_a_lost_connection_is_an_error(broker) -> None:
    connection = pika.BlockingConnection(broker.parameters)
    channel = connection.channel()
    connection.close()
    with pytest.raises(BrokerError, match=r"connection is gone.*Next: "):
        EVERYTHING.declare(channel)


def test_no_broker_is_an_error() -> None:
    with pytest.raises(BrokerUnavailableError):
        EVERYTHING.declare("amqp://127.0.0.1:1")
