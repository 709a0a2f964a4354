"""What an engine lives through when its broker is really broken, as lesson 06 does it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from rmqlab.amqp import ConnectionEvent, Recovery
from rmqlab.broker import QUEUE_METADATA_FLUSH_S, Broker, Link, start_broker
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments import measure_partition_detection, run_with_faults


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger("pika"), logging.getLogger("rmqlab.amqp")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    with start_broker(own=True) as broker:
        TOPOLOGY.declare(broker)
        time.sleep(QUEUE_METADATA_FLUSH_S)  # a younger queue may be lost with a broker that is killed
        yield broker


def test_an_engine_goes_on_after_closed_connections_and_a_kill(own: Broker) -> None:
    events_heard: list[ConnectionEvent] = []
    work_s = 0.02

    run = run_with_faults(
        own,
        {"closed": own.close_connections, "kill": own.kill},
        recovery=Recovery(on_event=events_heard.append),
        execute=lambda _: time.sleep(work_s),
        workers=3,
        steady_s=0.3,
        progress=False,
    )

    totals = run.ledger.totals()
    assert totals.confirmed == totals.published == totals.unique
    assert totals.lost_confirmed == totals.lost_unconfirmed == totals.foreign == 0
    assert totals.duplicated <= totals.redelivered + run.republished
    recoveries = run.recoveries()
    assert recoveries.groupby("fault").size().to_dict() == {"closed": 4, "kill": 4}
    assert recoveries["recover_s"].notna().all()
    assert run.unacked() <= run.delivered_again()
    assert len(events_heard) == len(run.connection_events)
    outages = run.outages().set_index("fault")
    assert outages["up_s"]["kill"] > outages["down_s"]["kill"]
    # A client may be back sooner than we notice that the broker is.
    assert outages["silent_s"]["kill"] > (outages["up_s"]["kill"] - outages["down_s"]["kill"]) / 2
    assert set(run.throughput()["event"]) >= {"published", "confirmed", "received"}


def test_faults_may_be_repeated(own: Broker) -> None:
    run = run_with_faults(
        own,
        {"closed": own.close_connections},
        workers=1,
        rate_msg_s=10,
        repeats=2,
        steady_s=0.1,
        progress=False,
    )

    assert run.recoveries()["number"].tolist() == [0, 0, 1, 1]


def test_what_is_not_well_again_within_the_time_limit_is_an_error(own: Broker) -> None:
    recovery = Recovery(first_wait_s=30, longest_wait_s=30)

    with pytest.raises(BrokerError, match="Not all was well again within 1 s"):
        run_with_faults(
            own,
            {"closed": own.close_connections},
            recovery=recovery,
            execute=lambda _: time.sleep(3),  # while it works, no task is done
            workers=1,
            steady_s=0,
            timeout_s=1,
            progress=False,
        )


def test_an_api_counts_what_it_publishes_again(own: Broker) -> None:
    TOPOLOGY.declare(own)
    with Link(own, delay_ms=50) as link, EngineAPI(link.url, recovery=Recovery()) as api:
        for number in range(20):
            api.publish_task(Task("engine-1", "process", {"number": number}))
        assert api.republished == 0
        link.drop()
        api.flush()

        assert api.republished == 20


def test_a_cut_network_is_noticed_after_some_heartbeats(broker: Broker) -> None:
    noticed = measure_partition_detection(broker, heartbeats_s=[1, 60], within_s=6).set_index("heartbeat_s")

    assert 1 < noticed["task_moved_s"][1] < 6
    assert noticed["task_moved_s"].isna()[60]
    assert noticed["worker_noticed_s"].isna()[60]
    assert not [name for name in broker.queues()["name"] if "held" in name]


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_worker_is_stopped_while_it_shakes_hands(broker: Broker, is_cut: bool) -> None:
    """A network that is cut takes its new connection, and answers nothing until it is whole again."""
    events_heard: list[ConnectionEvent] = []
    with Link(broker) as link:
        worker = EngineWorker(link.url, print, recovery=Recovery(on_event=events_heard.append))
        running = threading.Thread(target=worker.run)
        running.start()
        broker.wait_for_queue("engine:tasks", consumers=1)
        with link.partitioned():
            link.drop()
            _wait_until(lambda: bool(events_heard))  # it is lost, and tries again
            time.sleep(0.3)
            if is_cut:
                _stop(worker, running)
        _stop(worker, running)


def _stop(worker: EngineWorker, running: threading.Thread) -> None:
    started_s = time.monotonic()
    worker.stop()
    running.join(10)
    worker.close()
    assert not running.is_alive()
    assert time.monotonic() - started_s < 5


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
