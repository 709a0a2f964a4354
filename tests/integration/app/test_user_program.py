"""The public API, used as a program would: see `user_program.py`, which mypy checks."""

from __future__ import annotations

import user_program

from rmqlab.broker import Broker


def test_messages_are_sent_taken_and_reported(broker: Broker) -> None:
    latency = user_program.send_and_take(broker).set_index("latency")

    assert latency["messages"].to_dict() == {"consumer": 10, "confirm": 10}


def test_the_engine_does_a_task(broker: Broker) -> None:
    (task,) = user_program.call_the_engine(broker)

    assert task.engine_id == "engine-1"


def test_runs_are_compared(broker: Broker) -> None:
    summary = user_program.run_experiments(broker)

    assert list(summary["workers"]) == [1, 2]
    assert (summary["acked"] == 20).all()
