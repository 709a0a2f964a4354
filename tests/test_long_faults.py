"""What takes minutes: one restart after another, under load."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology, confirm_window
from rmqlab.broker import Broker, start_broker
from rmqlab.errors import StoppedError
from rmqlab.measure import Ledger, Load

RESTARTS = 20
RATE_MSG_S = 300
RECOVER_S = 20
# What the ledger and the load keep is below a tenth of this; a connection that leaked would be
# a few hundred KiB, so twenty of them show.
GROWTH_BYTES = 4 * 2**20
TOPOLOGY = Topology(queues=(Queue(name="long-classic"), Queue(name="long-quorum", type="quorum")))


@pytest.fixture
def own() -> Iterator[Broker]:
    with start_broker(own=True) as broker:
        yield broker


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("pika", "rmqlab.amqp")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    yield
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


@pytest.mark.rehearsal
@pytest.mark.parametrize("queue", ["long-classic", "long-quorum"])
def test_twenty_restarts_under_load_lose_and_leak_nothing(own: Broker, queue: str) -> None:
    ledger, load, ending = Ledger(), Load(1_000_000), threading.Event()
    recovery = Recovery(longest_wait_s=1, heartbeat_s=2)
    publisher = Publisher(
        own,
        routing_key=queue,
        confirms=confirm_window(100),
        topology=TOPOLOGY,
        recovery=recovery,
        observer=ledger.publisher(),
    )
    consumer = Consumer(own, queue, topology=TOPOLOGY, recovery=recovery, observer=ledger.consumer())

    def publish() -> None:
        with contextlib.suppress(StoppedError), publisher:
            while not ending.is_set():
                publisher.wait(1 / RATE_MSG_S)
                publisher.publish(load.body(publisher.published))

    threads = [threading.Thread(target=each, daemon=True) for each in (publish, consumer.run)]
    for each in threads:
        each.start()
    usages = []
    try:
        for _ in range(RESTARTS):
            outage = own.restart()
            _wait_until_at_work(ledger, outage.up_ns)
            usages.append(_usage())
        ending.set()
        threads[0].join(RECOVER_S)
        assert not threads[0].is_alive()
        _wait_until(lambda: not ledger.totals().lost_confirmed, RECOVER_S)
    finally:
        for each in (publisher, consumer):
            each.stop()
        for each in threads:
            each.join(5)
        consumer.close()

    totals = ledger.totals()
    assert not any(each.is_alive() for each in threads)
    assert totals.confirmed == totals.published > RESTARTS * 100
    assert totals.lost_confirmed == 0
    assert totals.duplicated <= publisher.republished + totals.redelivered
    # From the second restart on, when all that is loaded late is loaded, to the last.
    names = ("threads", "files", "sockets")
    for name, early, late in zip(names, usages[1], usages[-1], strict=False):
        assert late <= early, (name, usages)
    assert usages[-1][3] - usages[1][3] < GROWTH_BYTES, usages


def _usage() -> tuple[int, int, int, int]:
    """Give this process's threads, open files, connections that are open, and bytes of memory."""
    gc.collect()
    process = psutil.Process()
    sockets = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    return process.num_threads(), process.num_fds(), len(sockets), process.memory_info().rss


def _wait_until_at_work(ledger: Ledger, since_ns: int) -> None:
    def is_at_work() -> bool:
        messages = ledger.account().messages
        since = messages[messages["published_ns"] > since_ns]
        return bool(((since["confirmed_ns"] > 0) & (since["delivered_ns"] > 0)).any())

    _wait_until(is_at_work, RECOVER_S)


def _wait_until(condition, time_limit_s: float) -> None:
    deadline_s = time.monotonic() + time_limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
