"""Tasks that are routed: by the engine's API, and in runs with other topologies than the engine's own."""

from __future__ import annotations

import pytest

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, Task
from rmqlab.experiments import Workload, WorkloadConfig, compare_waits, run_workload
from rmqlab.experiments.workload import Job

TASK = Task("engine-123", "process", {"param": "value"})
OWN = "engine:tasks:high-priority"
OWN_QUEUE = Topology(
    exchanges=[Exchange(name=names.ROUTING, type="direct")],
    queues=[Queue(name=names.TASKS), Queue(name=OWN)],
    bindings=[Binding(exchange=names.ROUTING, queue=OWN, routing_key=names.HIGH_PRIORITY)],
)
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
    for topology in (TOPOLOGY, OWN_QUEUE):
        topology.delete(broker)


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
    assert channel.queue_declare(names.TASKS, passive=True).method.message_count == 1


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


@pytest.mark.parametrize("replay", [False, True])
def test_a_publisher_that_fails_ends_the_run(broker, replay: bool) -> None:
    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        raise LookupError(message_id)

    config = WorkloadConfig(workload=WORKLOAD, publish=publish, replay=replay, timeout_s=20)
    with pytest.raises(LookupError, match="0"):
        run_workload(broker, config, progress=False)
