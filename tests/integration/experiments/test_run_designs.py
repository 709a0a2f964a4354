"""Workloads run with queues, workers and publishers of other designs than the engine's own."""

from __future__ import annotations

import contextlib

import pytest

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology, connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import Job, Workload, run_workload, waits_by_priority

OWN, PRIORITY = "engine:tasks:high-priority", "engine:tasks:priority"
OWN_QUEUE = Topology(
    exchanges=[Exchange(name=names.ROUTING, type="direct")],
    queues=[Queue(name=names.TASKS), Queue(name=OWN)],
    bindings=[Binding(exchange=names.ROUTING, queue=OWN, routing_key=names.HIGH_PRIORITY)],
)
PRIORITY_QUEUE = Topology(queues=[Queue(name=PRIORITY, max_priority=1)])


@pytest.fixture(autouse=True)
def _no_queue_stays(broker: Broker) -> None:
    for topology in (OWN_QUEUE, PRIORITY_QUEUE):
        topology.delete(broker)


@pytest.fixture
def workload() -> Workload:
    """Thirty tasks of 5 ms, of which every third is of high priority."""
    return Workload(
        tuple(
            Job(Task("e", "high" if number % 3 == 2 else "normal", {"recording_min": 0.005}), 0.0, 0.005)
            for number in range(30)
        ),
        1.0,
    )


def _is_high(task: Task) -> bool:
    return task.action == "high"


def _by_key(api: EngineAPI, task: Task, message_id: str) -> None:
    if _is_high(task):
        api.route_task(task, names.HIGH_PRIORITY, message_id=message_id)
    else:
        api.publish_task(task, message_id=message_id)


def _with_priority(api: EngineAPI, task: Task, message_id: str) -> None:
    api.publish_task(task, queue=PRIORITY, priority=int(_is_high(task)), message_id=message_id)


def _order(run) -> list[bool]:
    """Say of each task in the order of delivery whether it is of high priority."""
    tasks = run.tasks().sort_values("delivered_s", kind="stable")
    jobs = list(run.workload)
    return [_is_high(jobs[number].task) for number in tasks["message"]]


def test_each_worker_takes_from_the_queue_it_is_named_for(broker, workload) -> None:
    run = run_workload(
        broker,
        workload,
        workers=[names.TASKS, OWN, names.TASKS],
        publish=_by_key,
        topology=OWN_QUEUE,
        progress=False,
    )

    tasks = waits_by_priority({"own": run}, _is_high)
    of_high = set(tasks.loc[tasks["priority"] == "high", "worker"])
    of_normal = set(tasks.loc[tasks["priority"] == "normal", "worker"])
    assert of_high == {"worker-2"}
    assert of_normal <= {"worker-1", "worker-3"}
    (row,) = run.summary().to_dict("records")
    assert (row["workers"], row["published"], row["acked"], row["redelivered"]) == (3, 30, 30, 0)


def test_in_one_queue_a_routed_task_keeps_its_turn(broker, workload) -> None:
    run = run_workload(broker, workload, publish=_by_key, progress=False)

    assert _order(run) == [_is_high(job.task) for job in workload]


def test_a_priority_queue_is_worked_off_by_priority(broker, workload) -> None:
    run = run_workload(
        broker,
        workload,
        workers=[PRIORITY],
        publish=_with_priority,
        topology=PRIORITY_QUEUE,
        progress=False,
    )

    assert _order(run) == [True] * 10 + [False] * 20


def test_what_is_prefetched_is_not_overtaken(broker) -> None:
    # The normal task is the only one there is when the worker asks for two; the second comes later.
    jobs = [("normal", 0.0, 1.0), ("normal", 0.0, 0.01), ("normal", 0.0, 0.01), ("high", 0.2, 0.01)]
    workload = Workload(
        tuple(Job(Task("e", kind, {"recording_min": work}), due, work) for kind, due, work in jobs), 1.0
    )

    def order(prefetch_count: int) -> list[bool]:
        return _order(
            run_workload(
                broker,
                workload,
                workers=[PRIORITY],
                prefetch_count=prefetch_count,
                replay=True,
                publish=_with_priority,
                topology=PRIORITY_QUEUE,
                progress=False,
            )
        )

    assert order(1) == [False, True, False, False]
    assert order(3) == [False, False, False, True]


def test_all_queues_of_the_topology_are_emptied_first(broker, workload) -> None:
    with EngineAPI(broker, topology=OWN_QUEUE) as api:
        for queue in (names.TASKS, OWN):
            api.publish_task(Task("left", "over"), queue=queue, message_id="0")

    run = run_workload(
        broker, workload, workers=[names.TASKS, OWN], publish=_by_key, topology=OWN_QUEUE, progress=False
    )

    assert run.summary()["received"].item() == len(workload)


def test_a_task_that_goes_to_two_queues_is_delivered_twice(broker, workload) -> None:
    both = Topology(
        exchanges=OWN_QUEUE.exchanges,
        queues=OWN_QUEUE.queues,
        bindings=[
            *OWN_QUEUE.bindings,
            Binding(exchange=names.ROUTING, queue=names.TASKS, routing_key=names.HIGH_PRIORITY),
        ],
    )
    run = run_workload(
        broker,
        workload,
        workers=[names.TASKS, OWN],
        publish=_by_key,
        topology=both,
        progress=False,
    )

    # The run ends when each task is done once: the last copies may still wait then.
    twice = run.tasks().query("deliveries == 2")["message"]
    assert set(twice % 3) == {2}
    assert 9 <= len(twice) <= 10
    assert run.summary()["redelivered"].item() == 0


@pytest.mark.parametrize("replay", [False, True])
def test_a_publisher_that_fails_ends_the_run(broker, workload, replay: bool) -> None:
    def publish(api: EngineAPI, task: Task, message_id: str) -> None:
        raise LookupError(message_id)

    with pytest.raises(LookupError, match="0"):
        run_workload(broker, workload, publish=publish, replay=replay, progress=False, timeout_s=20)


def test_tasks_that_nobody_takes_are_a_broker_error_at_the_time_limit(broker, workload) -> None:
    with pytest.raises(BrokerError, match=r"Only 20 of 30 tasks.*Next: "):
        run_workload(
            broker,
            workload,
            workers=[names.TASKS],
            publish=_by_key,
            topology=OWN_QUEUE,
            timeout_s=1,
            progress=False,
        )


def test_a_queue_that_the_topology_does_not_have_is_a_broker_error(broker, workload) -> None:
    with pytest.raises(BrokerError, match="engine:unrouted"):
        run_workload(broker, workload, workers=["engine:unrouted"], progress=False, timeout_s=20)


def test_no_names_are_no_workers(broker, workload) -> None:
    with pytest.raises(ValueError, match="workers"):
        run_workload(broker, workload, workers=[])


def test_a_run_leaves_its_queues_empty_and_without_consumers(broker, workload) -> None:
    run_workload(
        broker, workload, workers=[names.TASKS, OWN], publish=_by_key, topology=OWN_QUEUE, progress=False
    )

    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        for queue in (names.TASKS, OWN):
            answer = channel.queue_declare(queue, passive=True).method
            assert (answer.message_count, answer.consumer_count) == (0, 0)
