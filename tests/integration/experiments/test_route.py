"""Tasks that are routed: by the engine's API to queues, and by no binding to nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology, confirm_each, connect
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, Task
from rmqlab.errors import BrokerError, InvalidTaskError, TopologyMismatchError
from rmqlab.experiments import load_workload, route_workload, table_of_keys

TASK = Task("engine-123", "process", {"param": "value"})
OWN, PRIORITY, UNROUTED = "engine:tasks:high-priority", "engine:tasks:priority", "engine:unrouted"
OWN_QUEUE = Topology(
    exchanges=[Exchange(name=names.ROUTING, type="direct")],
    queues=[Queue(name=names.TASKS), Queue(name=OWN)],
    bindings=[Binding(exchange=names.ROUTING, queue=OWN, routing_key=names.HIGH_PRIORITY)],
)
PRIORITY_QUEUE = Topology(queues=[Queue(name=PRIORITY, max_priority=1)])
AIRPORTS = Topology(
    exchanges=[Exchange(name="engine:airports", type="direct"), Exchange(name=UNROUTED, type="fanout")],
    queues=[Queue(name=names.TASKS), Queue(name=UNROUTED)],
    bindings=[
        Binding(exchange="engine:airports", queue=names.TASKS, routing_key="EWR"),
        Binding(exchange=UNROUTED, queue=UNROUTED),
    ],
)
WITH_ALTERNATE = Topology(
    exchanges=[
        Exchange(name="engine:airports", type="direct", alternate_exchange=UNROUTED),
        Exchange(name=UNROUTED, type="fanout"),
    ],
    queues=AIRPORTS.queues,
    bindings=AIRPORTS.bindings,
)


@pytest.fixture
def channel(broker: Broker) -> Iterator[BlockingChannel]:
    """A channel of raw pika, on a broker that has nothing of former tests."""
    for topology in (TOPOLOGY, OWN_QUEUE, PRIORITY_QUEUE, WITH_ALTERNATE):
        topology.delete(broker)
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def _ready(channel: BlockingChannel, queue: str) -> int:
    return channel.queue_declare(queue, passive=True).method.message_count


def _publish_by_airport(api: EngineAPI, task: Task, message_id: str) -> None:
    api.route_task(task, task.data["origin"], exchange="engine:airports", message_id=message_id)


def test_the_documents_key_leads_to_the_queue_of_all_tasks(broker, channel) -> None:
    with EngineAPI(broker) as api:
        identity = api.route_task(TASK, names.HIGH_PRIORITY)

    method, properties, body = channel.basic_get(names.TASKS, auto_ack=True)
    assert Task.decode(body) == TASK
    assert (method.exchange, method.routing_key) == (names.ROUTING, names.HIGH_PRIORITY)
    assert properties.message_id == identity
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.priority is None


def test_a_routed_task_takes_its_place_in_the_order_of_the_queue(broker, channel) -> None:
    with EngineAPI(broker) as api:
        api.publish_task(TASK, message_id="normal")
        api.route_task(TASK, names.HIGH_PRIORITY, message_id="high")

    order = [channel.basic_get(names.TASKS, auto_ack=True)[1].message_id for _ in range(2)]
    assert order == ["normal", "high"]


def test_a_key_that_is_bound_to_nothing_loses_the_task_and_says_nothing(broker, channel) -> None:
    with EngineAPI(broker, confirms=confirm_each()) as api:
        api.route_task(TASK, "no-such-key")

    assert api.returned == 0
    assert _ready(channel, names.TASKS) == 0


def test_a_mandatory_api_counts_what_no_queue_wanted(broker, channel) -> None:
    with EngineAPI(broker, mandatory=True) as api:
        api.route_task(TASK, "no-such-key")
        api.publish_task(TASK, queue="no-such-queue")
        api.route_task(TASK, names.HIGH_PRIORITY)

    assert api.returned == 2
    assert _ready(channel, names.TASKS) == 1


def test_a_task_can_be_routed_through_another_exchange(broker, channel) -> None:
    with EngineAPI(broker, topology=AIRPORTS) as api:
        api.route_task(TASK, "EWR", exchange="engine:airports")

    assert _ready(channel, names.TASKS) == 1


def test_an_exchange_that_is_not_there_is_a_broker_error(broker, channel) -> None:
    with pytest.raises(BrokerError, match="no-such-exchange"), EngineAPI(broker) as api:
        api.route_task(TASK, "key", exchange="no-such-exchange")


def test_a_task_without_a_form_in_json_is_not_routed(broker, channel) -> None:
    with EngineAPI(broker) as api, pytest.raises(InvalidTaskError):
        api.route_task(Task("e", "a", {"x": object()}), names.HIGH_PRIORITY)

    assert _ready(channel, names.TASKS) == 0


def test_an_api_declares_the_topology_it_is_given_and_no_other(broker, channel) -> None:
    with EngineAPI(broker, topology=OWN_QUEUE) as api:
        api.route_task(TASK, names.HIGH_PRIORITY)
        api.publish_task(TASK)

    assert (_ready(channel, names.TASKS), _ready(channel, OWN)) == (1, 1)


def test_a_binding_of_former_times_still_gets_its_copy(broker, channel) -> None:
    TOPOLOGY.declare(broker)
    with EngineAPI(broker, topology=OWN_QUEUE) as api:
        api.route_task(TASK, names.HIGH_PRIORITY)

    assert (_ready(channel, names.TASKS), _ready(channel, OWN)) == (1, 1)


def test_a_topology_that_the_broker_has_otherwise_is_a_mismatch(broker, channel) -> None:
    TOPOLOGY.declare(broker)
    other = Topology(queues=[Queue(name=names.TASKS, max_priority=1)])

    with pytest.raises(TopologyMismatchError, match="max_priority"):
        EngineAPI(broker, topology=other)


@pytest.mark.parametrize("routed", [False, True])
def test_a_priority_queue_gives_the_highest_first(broker, channel, routed: bool) -> None:
    with EngineAPI(broker, topology=PRIORITY_QUEUE) as api:
        api.publish_task(TASK, queue=PRIORITY, message_id="none")
        api.publish_task(TASK, queue=PRIORITY, priority=0, message_id="lowest")
        if routed:  # by the default exchange
            api.route_task(TASK, PRIORITY, exchange="", priority=1, message_id="high")
        else:
            api.publish_task(TASK, queue=PRIORITY, priority=1, message_id="high")

    taken = [channel.basic_get(PRIORITY, auto_ack=True)[1] for _ in range(3)]
    assert [each.message_id for each in taken] == ["high", "none", "lowest"]
    assert [each.priority for each in taken] == [1, None, 0]


def test_a_priority_changes_nothing_in_a_queue_without_priorities(broker, channel) -> None:
    with EngineAPI(broker) as api:
        api.publish_task(TASK, message_id="first")
        api.publish_task(TASK, priority=9, message_id="second")

    order = [channel.basic_get(names.TASKS, auto_ack=True)[1].message_id for _ in range(2)]
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("topology", "mandatory", "where"),
    [
        (AIRPORTS, False, "lost"),
        (AIRPORTS, True, "returned"),
        (WITH_ALTERNATE, False, UNROUTED),
        (WITH_ALTERNATE, True, UNROUTED),
    ],
)
def test_all_is_confirmed_and_what_no_queue_wants_is_counted(
    broker, channel, topology, mandatory: bool, where: str
) -> None:
    for _ in range(2):  # a second time, with what the first has left
        counts = route_workload(
            broker, load_workload(), topology=topology, publish=_publish_by_airport, mandatory=mandatory
        )

        nowhere = {"returned": 0, UNROUTED: 0, "lost": 0}
        assert counts == {"published": 960, "confirmed": 960, names.TASKS: 346} | nowhere | {where: 614}


def test_a_table_shows_which_queue_got_which_key_and_empties_them(broker, channel) -> None:
    channel.exchange_declare("engine:topics", "topic", durable=True)
    queues = {
        pattern: channel.queue_declare("", exclusive=True).method.queue for pattern in ("a.*", "#.c", "x")
    }
    for pattern, queue in queues.items():
        channel.queue_bind(queue, "engine:topics", pattern)
    keys = ["a", "a.c", "c"]
    for key in keys:
        channel.basic_publish("engine:topics", key, key.encode())

    table = table_of_keys(channel, keys, queues)

    assert table.to_dict("list") == {"a.*": ["", "●", ""], "#.c": ["", "●", "●"], "x": ["", "", ""]}
    assert list(table.index) == keys
    assert [_ready(channel, queue) for queue in queues.values()] == [0, 0, 0]
    assert (table_of_keys(channel, keys, queues) == "").all(axis=None)


def test_raw_pika_raises_what_the_api_counts(broker, channel) -> None:
    TOPOLOGY.declare(broker)

    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish(names.ROUTING, "no-such-key", b"", mandatory=True)
