"""A short form of the fault matrix, with our client alone: `rmqlab faults` is the full one."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology
from rmqlab.broker import Broker, start_broker
from rmqlab.faults import CLIENTS, KINDS, QUEUE_TYPES, Settings, run_trial
from rmqlab.measure import Ledger, Load

SHORT = Settings(lead_s=1.2, tail_s=0.2)
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
    trial = run_trial(own, CLIENTS["rmqlab, window 100"], KINDS[fault], queue_type, settings=SHORT)

    assert not trial.hung, trial
    assert trial.lost_confirmed == 0
    assert trial.unconfirmed == 0
    assert trial.duplicated <= trial.republished + trial.redelivered
    assert trial.recover_publish_s < RECOVER_S
    assert trial.recover_consume_s < RECOVER_S


@pytest.mark.parametrize("client", ["rmqlab", "aio-pika", "kombu"])
def test_each_client_is_used_in_a_way_that_recovers(own: Broker, client: str) -> None:
    trial = run_trial(own, CLIENTS[client], KINDS["dropped connections"], "classic", settings=SHORT)

    assert not trial.hung, trial
    assert trial.lost_confirmed == trial.unconfirmed == 0
    assert not trial.error
    assert trial.recover_publish_s < RECOVER_S
    assert trial.recover_consume_s < RECOVER_S


def test_what_goes_with_a_deleted_queue_is_not_lost_by_the_client(own: Broker) -> None:
    trial = run_trial(own, CLIENTS["rmqlab"], KINDS["deleted queue"], "classic", settings=SHORT)

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


@pytest.mark.parametrize(
    ("fault", "number"),
    [("restart", signal.SIGINT), ("frozen", signal.SIGTERM), ("frozen", signal.SIGKILL)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_end_in_the_middle_of_an_outage_leaves_nothing(fault: str, number: signal.Signals) -> None:
    """Ctrl-C, an orderly end, and what the restart of a kernel comes to in the worst case."""
    token = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-m", "rmqlab", "faults", "--client", "rmqlab", "--fault", fault],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RMQLAB_OWN_BROKER": "node", TOKEN: token},
    )
    try:
        _wait_until(lambda: bool(_servers(token)), 60)
        (server,) = _servers(token)
        _wait_until(lambda: _is_out(server), 60)
        assert process.poll() is None
        process.send_signal(number)
        signaled_s = time.monotonic()
        process.wait(30)
        _wait_until(lambda: not _servers(token), 30)
        assert time.monotonic() - signaled_s < 5
        _wait_until(lambda: not _with_token(token), 10)  # the guardian looks twice
    finally:
        process.kill()
        process.wait(5)


TOKEN = "RMQLAB_TEST_TOKEN"


def _with_token(token: str) -> list[psutil.Process]:
    """Give the processes that a process with this token started, and that one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(TOKEN) == token:
                found.append(process)
    return found


def _servers(token: str) -> list[psutil.Process]:
    """Give the server of the node that a process with this token started, if it runs."""
    for process in _with_token(token):
        with contextlib.suppress(psutil.Error, OSError, KeyError, ValueError):
            return [psutil.Process(int((Path(process.environ()["RMQLAB_NODE"]) / "pid").read_text()))]
    return []


def _is_out(server: psutil.Process) -> bool:
    """Say whether a server is gone, or frozen."""
    try:
        return server.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_until(condition: Callable[[], bool], time_limit_s: float) -> None:
    deadline_s = time.monotonic() + time_limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
