"""The engine against a real broker: tasks are published, done, and have their outcome."""

from __future__ import annotations

import logging

import pytest

from rmqlab import names
from rmqlab.engine import EngineAPI, EngineWorker, Task
from rmqlab.measure import Ledger
from rmqlab.measure._recorders import ACKED, REJECTED, REQUEUED

TASK = Task("engine-123", "process", {"param": "value"})


def _ready(channel) -> int:
    return channel.queue_declare(names.TASKS, durable=True, passive=True).method.message_count


def test_a_task_is_published_as_persistent_json_with_an_identity(broker, tasks) -> None:
    with EngineAPI(broker) as api:
        identities = [api.publish_task(TASK), api.publish_task(TASK), api.publish_task(TASK, message_id="7")]

    assert len(set(identities)) == 3
    assert identities[2] == "7"
    _, properties, body = tasks.basic_get(names.TASKS, auto_ack=True)
    assert Task.decode(body) == TASK
    assert properties.message_id == identities[0]
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"


def test_a_failed_task_is_logged_and_comes_again(broker, tasks, caplog) -> None:
    recorder = Ledger().consumer()
    tasks.basic_publish("", names.TASKS, TASK.encode())
    failures = iter([RuntimeError("broken engine")])

    def fail_once(_: Task) -> None:
        for failure in failures:
            raise failure

    with (
        caplog.at_level(logging.ERROR, "rmqlab"),
        EngineWorker(broker, fail_once, observer=recorder) as worker,
    ):
        worker.run(count=2)

    assert recorder.rows()[["outcome", "redelivered"]].tolist() == [(REQUEUED, False), (ACKED, True)]
    assert "while engine-worker handled the task of engine-123" in caplog.text
    assert "broken engine" in caplog.text


@pytest.mark.parametrize("on_failure", ["requeue", "reject"])
def test_a_malformed_body_is_logged_and_rejected_and_the_worker_goes_on(
    broker, tasks, caplog, on_failure
) -> None:
    recorder = Ledger().consumer()
    bad = [b"", b"not json", b"{}"]
    for body in (*bad, TASK.encode()):
        tasks.basic_publish("", names.TASKS, body)
    done: list[Task] = []
    with (
        caplog.at_level(logging.ERROR, "rmqlab"),
        EngineWorker(broker, done.append, on_failure=on_failure, observer=recorder) as worker,
    ):
        worker.run(count=len(bad) + 1)

    assert recorder.rows()["outcome"].tolist() == [REJECTED] * len(bad) + [ACKED]
    assert done == [TASK]
    assert caplog.text.count("rejected: The body is no task") == len(bad)
    assert _ready(tasks) == 0
