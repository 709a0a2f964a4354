"""What takes minutes: one restart after another, under load."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

import psutil
import pytest
from helpers import eventually

from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology, confirm_window
from rmqlab.broker import Broker, OwnBroker, start_broker
from rmqlab.errors import StoppedError
from rmqlab.measure import Ledger, Load

RESTARTS = 20
RATE_MSG_S = 300
MESSAGES = 200  # of each queue, between two restarts
RECOVER_S = 20
# What the ledger and the load keep is below a tenth of this; a connection that leaked would be
# a few hundred KiB, so twenty of them show.
GROWTH_BYTES = 4 * 2**20
TOPOLOGY = Topology(queues=(Queue(name="long-classic"), Queue(name="long-quorum", type="quorum")))


@pytest.fixture
def own() -> Iterator[OwnBroker]:
    with start_broker(own=True) as broker:
        yield broker


class Pair:
    """A publisher and a consumer of a queue, each in a thread."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self.ledger, self.ending, self._load = Ledger(), threading.Event(), Load(1_000_000)
        recovery = Recovery(longest_wait_s=1, heartbeat_s=2)
        self.publisher = Publisher(
            broker,
            routing_key=queue,
            confirms=confirm_window(100),
            topology=TOPOLOGY,
            recovery=recovery,
            observer=self.ledger.publisher(),
        )
        self.consumer = Consumer(
            broker, queue, topology=TOPOLOGY, recovery=recovery, observer=self.ledger.consumer()
        )
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._publish, self._consume)]
        for each in self.threads:
            each.start()

    def _publish(self) -> None:
        with contextlib.suppress(StoppedError), self.publisher as publisher:
            while not self.ending.is_set():
                publisher.wait(1 / RATE_MSG_S)
                publisher.publish(self._load.body(publisher.published))

    def _consume(self) -> None:
        with self.consumer:
            self.consumer.run()

    def has_done(self, count: int, since_ns: int) -> bool:
        """Return whether so many messages that were published since are confirmed and delivered."""
        messages = self.ledger.account().messages
        since = messages[messages["published_ns"] > since_ns]
        return int(((since["confirmed_ns"] > 0) & (since["delivered_ns"] > 0)).sum()) >= count

    def stop(self) -> None:
        for each in (self.publisher, self.consumer):
            each.stop()
        for each in self.threads:
            each.join(5)
            assert not each.is_alive()


@pytest.mark.rehearsal
@pytest.mark.usefixtures("quiet_log")
def test_twenty_restarts_under_load_lose_and_leak_nothing(own: OwnBroker) -> None:
    pairs = [Pair(own, queue.name) for queue in TOPOLOGY.queues]
    usages = []
    try:
        for _ in range(RESTARTS):
            up_ns = own.restart().up_ns
            for pair in pairs:
                assert eventually(
                    lambda pair=pair, up_ns=up_ns: pair.has_done(MESSAGES, up_ns), seconds=RECOVER_S
                )
            usages.append(_usage())
        for pair in pairs:
            pair.ending.set()
            pair.threads[0].join(RECOVER_S)
            assert not pair.threads[0].is_alive()
            assert eventually(lambda pair=pair: not pair.ledger.totals().lost_confirmed, seconds=RECOVER_S)
    finally:
        for pair in pairs:
            pair.stop()

    for pair in pairs:
        totals = pair.ledger.totals()
        assert totals.confirmed == totals.published > RESTARTS * MESSAGES
        assert totals.lost_confirmed == 0
        assert totals.duplicated <= pair.publisher.republished + totals.redelivered
    # From the second restart on, when all that is loaded late is loaded, to the last.
    for name, early, late in zip(("threads", "files", "sockets"), usages[1], usages[-1], strict=False):
        assert late <= early, (name, usages)
    assert usages[-1][3] - usages[1][3] < GROWTH_BYTES, usages


def _usage() -> tuple[int, int, int, int]:
    """Return this process's threads, open files, connections that are open, and bytes of memory."""
    gc.collect()
    process = psutil.Process()
    sockets = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    return process.num_threads(), process.num_fds(), len(sockets), process.memory_info().rss
