"""Tasks that are routed: by the engine's API, and in runs with other topologies than the engine's own."""

from __future__ import annotations

import pytest

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, Task
from rmqlab.experiments import WorkloadConfig, make_workload, run_workload
from rmqlab.measure import ConstantDuration

TASK = Task("engine-123", "process", {"param": "value"})
OWN = "engine:tasks:high-priority"
OWN_QUEUE = Topology(
    exchanges=[Exchange(name=names.ROUTING, type="direct")],
    queues=[Queue(name=names.TASKS), Queue(name=OWN)],
    bindings=[Binding(exchange=names.ROUTING, queue=OWN, routing_key=names.HIGH_PRIORITY)],
)
WORKLOAD = make_workload(30, ConstantDuration(0.005))


@pytest.fixture(autouse=True)
def _no_queue_stays(broker: Broker) -> None:
    for topology in (TOPOLOGY, OWN_QUEUE):
        topology.delete(broker)


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

    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        if message_id.endswith("0"):
            api.route_task(task, names.HIGH_PRIORITY, message_id=message_id)
        else:
            api.publish_task(task, message_id=message_id)

    workers = [names.TASKS, OWN, names.TASKS]
    config = WorkloadConfig(workload=WORKLOAD, workers=workers, publish=publish, topology=OWN_QUEUE)
    result = run_workload(broker, config, progress=False)

    workers_of = result.frame("tasks")["worker"]
    assert set(workers_of[::10]) == {"worker-2"}
    assert set(workers_of.drop(workers_of.index[::10])) <= {"worker-1", "worker-3"}
    assert result.rows[["workers", "received", "acked"]].iloc[0].to_list() == [3, 30, 30]


@pytest.mark.parametrize("replay", [False, True])
def test_a_publisher_that_fails_ends_the_run(broker, replay: bool) -> None:
    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        raise LookupError(message_id)

    config = WorkloadConfig(workload=WORKLOAD, publish=publish, replay=replay, timeout_s=20)
    with pytest.raises(LookupError, match="0"):
        run_workload(broker, config, progress=False)
