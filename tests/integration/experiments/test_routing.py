"""Tasks that are routed: by the engine's API, and in runs with other topologies than the engine's own."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import channel_to

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import (
    Workload,
    WorkloadConfig,
    compare_waits,
    run_workload,
    table_of_keys,
)
from rmqlab.experiments.workload import Job

TASK = Task("engine-123", "process", {"param": "value"})
OWN, PRIORITY = "engine:tasks:high-priority", "engine:tasks:priority"
OWN_QUEUE = Topology(
    exchanges=[Exchange(name=names.ROUTING, type="direct")],
    queues=[Queue(name=names.TASKS), Queue(name=OWN)],
    bindings=[Binding(exchange=names.ROUTING, queue=OWN, routing_key=names.HIGH_PRIORITY)],
)
PRIORITY_QUEUE = Topology(queues=[Queue(name=PRIORITY, max_priority=1)])
# Thirty tasks of 5 ms, of which every third is of high priority.
WORKLOAD = Workload(
    tuple(
        Job(Task("e", "high" if number % 3 == 2 else "normal", {"recording_min": 0.005}), 0.0, 0.005)
        for number in range(30)
    ),
    1.0,
)


@pytest.fixture(autouse=True)
def _no_queue_stays(broker: Broker) -> None:
    for topology in (TOPOLOGY, OWN_QUEUE, PRIORITY_QUEUE):
        topology.delete(broker)


def _ready(channel: Any, queue: str) -> int:
    return channel.queue_declare(queue, passive=True).method.message_count


def _is_high(task: Task) -> bool:
    return task.action == "high"


def _by_key(api: EngineAPI, task: Task, message_id: str) -> None:
    if _is_high(task):
        api.route_task(task, names.HIGH_PRIORITY, message_id=message_id)
    else:
        api.publish_task(task, message_id=message_id)


def test_the_applications_key_leads_to_the_queue_of_all_tasks(broker, channel) -> None:
    with EngineAPI(broker) as api:
        identity = api.route_task(TASK, names.HIGH_PRIORITY)

    method, properties, body = channel.basic_get(names.TASKS, auto_ack=True)
    assert Task.decode(body) == TASK
    assert (method.exchange, method.routing_key) == (names.ROUTING, names.HIGH_PRIORITY)
    assert properties.message_id == identity
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.priority is None


def test_a_mandatory_api_counts_what_no_queue_wanted(broker, channel) -> None:
    with EngineAPI(broker, mandatory=True) as api:
        api.route_task(TASK, "no-such-key")
        api.publish_task(TASK, queue="no-such-queue")
        api.route_task(TASK, names.HIGH_PRIORITY)

    assert api.returned == 2
    assert _ready(channel, names.TASKS) == 1


def test_an_exchange_that_is_not_there_is_a_broker_error(broker) -> None:
    with pytest.raises(BrokerError, match="no-such-exchange"), EngineAPI(broker) as api:
        api.route_task(TASK, "key", exchange="no-such-exchange")


def test_an_earlier_binding_still_gets_its_copy(broker, channel) -> None:
    TOPOLOGY.declare(broker)
    with EngineAPI(broker, topology=OWN_QUEUE) as api:
        api.route_task(TASK, names.HIGH_PRIORITY)

    assert (_ready(channel, names.TASKS), _ready(channel, OWN)) == (1, 1)


def test_a_priority_queue_is_worked_off_by_priority(broker) -> None:
    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        if _is_high(task):
            api.publish_task(task, queue=PRIORITY, priority=1, message_id=message_id)
        else:  # by the default exchange, without a priority
            api.route_task(task, PRIORITY, exchange="", message_id=message_id)

    config = WorkloadConfig(workload=WORKLOAD, workers=[PRIORITY], publish=publish, topology=PRIORITY_QUEUE)
    tasks = run_workload(broker, config, progress=False).frame("tasks").sort_values("delivered_s")

    assert [number % 3 == 2 for number in tasks["message"]] == [True] * 10 + [False] * 20


def test_each_worker_takes_from_the_queue_it_is_named_for_and_nothing_that_was_left(broker) -> None:
    with EngineAPI(broker, topology=OWN_QUEUE) as api:
        for queue in (names.TASKS, OWN):
            api.publish_task(Task("left", "over"), queue=queue, message_id="0")

    workers = [names.TASKS, OWN, names.TASKS]
    config = WorkloadConfig(workload=WORKLOAD, workers=workers, publish=_by_key, topology=OWN_QUEUE)
    runs = run_workload(broker, {"own": config}, by="design", progress=False)

    waits = compare_waits(runs, WORKLOAD, _is_high).frame("waits")
    assert set(waits.loc[waits["priority"] == "high", "worker"]) == {"worker-2"}
    assert set(waits.loc[waits["priority"] == "normal", "worker"]) <= {"worker-1", "worker-3"}
    assert runs.rows[["workers", "received", "acked"]].iloc[0].to_list() == [3, 30, 30]


def test_a_task_that_goes_to_two_queues_is_delivered_twice(broker) -> None:
    again = Binding(exchange=names.ROUTING, queue=names.TASKS, routing_key=names.HIGH_PRIORITY)
    both = Topology(
        exchanges=OWN_QUEUE.exchanges, queues=OWN_QUEUE.queues, bindings=[*OWN_QUEUE.bindings, again]
    )
    config = WorkloadConfig(workload=WORKLOAD, workers=[names.TASKS, OWN], publish=_by_key, topology=both)
    result = run_workload(broker, config, progress=False)

    # The run ends when each task is done once: the last copies may still wait then.
    twice = result.frame("tasks").query("deliveries == 2")["message"]
    assert set(twice % 3) == {2}
    assert 9 <= len(twice) <= 10
    assert result.rows["redelivered"].item() == 0


@pytest.mark.parametrize("replay", [False, True])
def test_a_publisher_that_fails_ends_the_run(broker, replay: bool) -> None:
    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        raise LookupError(message_id)

    config = WorkloadConfig(workload=WORKLOAD, publish=publish, replay=replay, timeout_s=20)
    with pytest.raises(LookupError, match="0"):
        run_workload(broker, config, progress=False)


def test_a_queue_that_the_topology_does_not_have_is_a_broker_error(broker) -> None:
    config = WorkloadConfig(workload=WORKLOAD, workers=["engine:unrouted"], timeout_s=20)
    with pytest.raises(BrokerError, match="engine:unrouted"):
        run_workload(broker, config, progress=False)


def test_a_table_shows_which_queue_got_which_key_and_empties_them(broker) -> None:
    keys = ["a", "a.c", "c"]
    with channel_to(broker) as channel:
        channel.confirm_delivery()
        channel.exchange_declare("engine:topics", "topic", durable=True)
        queues = {
            pattern: channel.queue_declare("", exclusive=True).method.queue for pattern in ("a.*", "#.c", "x")
        }
        for pattern, queue in queues.items():
            channel.queue_bind(queue, "engine:topics", pattern)
        for key in keys:
            channel.basic_publish("engine:topics", key, key.encode())

        table = table_of_keys(channel, keys, queues)

        assert table.to_dict("list") == {"a.*": ["", "●", ""], "#.c": ["", "●", "●"], "x": ["", "", ""]}
        assert list(table.index) == keys
        assert (table_of_keys(channel, keys, queues) == "").all(axis=None)
