"""What the fault experiment finds, on a broker of its own; and a task that outlasts heartbeats."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology
from rmqlab.broker import Broker, start_broker
from rmqlab.experiments import FaultsConfig, break_everything
from rmqlab.measure import Ledger, Load

RECOVER_S = 15  # a generous bound for machines that are busy; the median is far below


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    with start_broker(own=True) as broker:
        yield broker


@pytest.mark.parametrize(
    "changes",
    [
        {"faults": ("kill",), "clients": ("rmqlab, window 100",), "queue_types": ("classic", "quorum")},
        {"faults": ("restart",), "clients": ("rmqlab, window 100",)},
        {
            "faults": ("dropped connections",),
            "clients": ("rmqlab", "rmqlab, window 100", "aio-pika", "kombu"),
        },
    ],
    ids=lambda changes: changes["faults"][0],
)
def test_nothing_that_is_confirmed_is_lost(own: Broker, changes: dict[str, Any]) -> None:
    trials = break_everything(own, FaultsConfig.quick(**changes)).rows
    assert len(trials) >= len(changes["clients"])

    bad = trials[trials["hung"] | (trials["error"] != "")]
    assert bad.empty, bad.to_dict("records")
    assert (trials["confirmed"] == trials["published"]).all()
    assert (trials["confirmed"] > 0).all()
    assert not trials[["lost_confirmed", "unconfirmed", "gone_with_queue"]].any(axis=None)
    assert (trials["duplicated"] <= trials["republished"] + trials["redelivered"]).all()
    assert (trials[["recover_publish_s", "recover_consume_s"]] < RECOVER_S).all(axis=None)


def test_what_goes_with_a_deleted_queue_is_not_lost_by_the_client(own: Broker) -> None:
    config = FaultsConfig.quick(faults=("deleted queue",), clients=("rmqlab",))
    trial = break_everything(own, config).rows.iloc[0]

    assert not trial["hung"], trial
    assert trial["lost_confirmed"] == trial["unconfirmed"] == 0
    assert trial["confirmed"] > trial["gone_with_queue"]


def test_a_task_that_outlasts_heartbeats_keeps_its_connection(broker: Broker) -> None:
    """With a heartbeat of 1 s the broker gives up a client that is silent for 3 s."""
    queue = "outlast"
    topology = Topology(queues=(Queue(name=queue),))
    events: list[str] = []
    recovery = Recovery(heartbeat_s=1, on_event=lambda event: events.append(event.kind))
    ledger, load = Ledger(), Load(1)
    with Publisher(broker, routing_key=queue, topology=topology) as publisher:
        publisher.publish(load.body(0))
    with Consumer(
        broker,
        queue,
        lambda *_: time.sleep(3.5),
        threaded=True,
        recovery=recovery,
        observer=ledger.consumer(),
    ) as consumer:
        consumer.run(count=1, for_s=20)

    assert events == []
    assert ledger.totals().received == ledger.totals().acked == 1
    assert int(broker.queues().set_index("name").loc[queue, "ready"]) == 0
