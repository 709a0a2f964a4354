"""A short form of the fault matrix, with our client alone: `rmqlab faults` is the full one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology
from rmqlab.broker import Broker, start_broker
from rmqlab.experiments.faults import CLIENTS, FAULTS, QUEUE_TYPES, Settings, run_trial
from rmqlab.measure import Ledger, Load

SHORT = Settings(warmup_s=1.2, cooldown_s=0.2)
RECOVER_S = 15  # a generous bound for machines that are busy; the median is far below


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    before = logging.getLogger("pika").level
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("pika").setLevel(before)


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    with start_broker(own=True) as broker:
        yield broker


@pytest.mark.parametrize("queue_type", QUEUE_TYPES)
@pytest.mark.parametrize("fault", ["dropped connections", "restart", "kill"])
def test_nothing_that_is_confirmed_is_lost(own: Broker, fault: str, queue_type: str) -> None:
    trial = run_trial(own, CLIENTS["rmqlab, window 100"], FAULTS[fault], queue_type, settings=SHORT)

    assert not trial.hung, trial
    assert trial.lost_confirmed == 0
    assert trial.unconfirmed == 0
    assert trial.duplicated <= trial.republished + trial.redelivered
    assert trial.recover_publish_s < RECOVER_S
    assert trial.recover_consume_s < RECOVER_S


@pytest.mark.parametrize("client", ["rmqlab", "aio-pika", "kombu"])
def test_each_client_is_used_in_a_way_that_recovers(own: Broker, client: str) -> None:
    trial = run_trial(own, CLIENTS[client], FAULTS["dropped connections"], "classic", settings=SHORT)

    assert not trial.hung, trial
    assert trial.lost_confirmed == trial.unconfirmed == 0
    assert not trial.error
    assert trial.recover_publish_s < RECOVER_S
    assert trial.recover_consume_s < RECOVER_S


def test_what_goes_with_a_deleted_queue_is_not_lost_by_the_client(own: Broker) -> None:
    trial = run_trial(own, CLIENTS["rmqlab"], FAULTS["deleted queue"], "classic", settings=SHORT)

    assert not trial.hung, trial
    assert trial.lost_confirmed == trial.unconfirmed == 0
    assert trial.confirmed > trial.gone_with_queue


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
        consumer.run(count=1, time_s=20)

    assert events == []
    assert ledger.totals().received == ledger.totals().acked == 1
    assert int(broker.queues().set_index("name").loc[queue, "ready"]) == 0
