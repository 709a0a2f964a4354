"""What is left of messages when something happens to their broker.

The faults here are mild ones that any broker bears: lesson 07 kills one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd
import pika
import pytest

from rmqlab.amqp import Queue, confirm_window, fire_and_forget
from rmqlab.errors import BrokerError
from rmqlab.experiments import DurabilityConfig, measure_durability

QUEUE = "engine:tasks:mild"
# Names that begin so are the broker's to give: it refuses one that it has not given.
REFUSED = Queue(name="amq.gen-rmqlab", durable=False)
FULL = Queue(name=QUEUE, arguments={"x-max-length": 5, "x-overflow": "reject-publish"})
COUNTS = ["published", "presumed_safe", "survived", "lost", "in_doubt"]


def _measure(broker, fault: Callable[[], object], **queues: Queue) -> pd.DataFrame:
    config = DurabilityConfig.quick(
        fault=fault,
        queues=queues or {"classic": Queue(name=QUEUE)},
        messages={"persistent": pika.BasicProperties(delivery_mode=2)},
        confirms={"none": fire_and_forget(), "confirmed": confirm_window()},
        rate_msg_s=100,
        for_s=0.5,
    )
    return measure_durability(broker, config, progress=False).frame().set_index("confirms")


def _queues(broker) -> list[str]:
    return [name for name in broker.queues()["name"] if name.startswith(QUEUE)]


def test_all_survives_where_nothing_happens(broker) -> None:
    found = _measure(broker, lambda: None)

    assert (found["published"] > 0).all()
    assert (found["lost"] == 0).all()
    assert (found["survived"] == found["presumed_safe"]).all()
    assert (found["published"] == found["presumed_safe"] + found["in_doubt"]).all()
    assert found["in_doubt"]["none"] == 0
    assert (found["rabbitmq"] == broker.version).all()


def test_refused_messages_are_in_doubt_and_not_lost(broker) -> None:
    found = _measure(broker, lambda: time.sleep(0.3), full=FULL)

    assert found.loc["confirmed", ["survived", "lost"]].tolist() == [5, 0]
    assert found["in_doubt"]["confirmed"] > 0
    assert found["lost"]["none"] > 0


def test_a_refused_queue_has_nothing(broker) -> None:
    found = _measure(broker, lambda: None, refused=REFUSED, classic=Queue(name=QUEUE)).set_index("queue")

    assert (found.loc["refused", COUNTS] == 0).all().all()
    assert (found.loc["classic", "published"] > 0).all()


def test_somebody_has_to_have_a_queue(broker) -> None:
    with pytest.raises(BrokerError, match="refuses all"):
        _measure(broker, lambda: None, refused=REFUSED)


def test_no_queue_is_left_behind(broker) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _measure(broker, fail)

    assert _queues(broker) == []
