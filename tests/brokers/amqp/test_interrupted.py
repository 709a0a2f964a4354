"""Ctrl-C at any moment of a publisher and a consumer: run the cell again, and nothing is lost."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from helpers import take_all

from rmqlab.amqp import (
    Consumer,
    Publisher,
    Queue,
    Recovery,
    Topology,
    ack_each,
    ack_every,
    auto_ack,
    confirm_each,
    confirm_window,
)
from rmqlab.broker import Broker, Link
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.measure import Ledger

QUEUE = "interrupted"
OWN = Topology(queues=(Queue(name=QUEUE),))
WAIT_S = 20  # for an event that is under way; never waited out when all is well
# A rehearsal interrupts each program so often; the ordinary suite a few times.
OFTEN = pytest.mark.parametrize(
    "times", [pytest.param(8, id="few"), pytest.param(200, id="many", marks=pytest.mark.rehearsal)]
)

pytestmark = pytest.mark.usefixtures("interrupts_as_in_a_terminal")


@pytest.fixture
def queue(broker: Broker) -> Iterator[str]:
    OWN.declare(broker)
    TOPOLOGY.declare(broker)
    yield QUEUE
    OWN.delete(broker)
    TOPOLOGY.delete(broker)


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 # pytest shows it when the test fails
    return random.Random(seed)


class Interrupter:
    """Runs a cell, and presses Ctrl-C after a while."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, cell: Callable[[], object], after_s: float) -> bool:
        """Return True if the cell was interrupted, and False if it had ended before."""
        main = threading.main_thread().ident
        timer = threading.Timer(after_s, signal.pthread_kill, [main, signal.SIGINT])
        try:
            timer.start()
            try:
                cell()
            finally:
                timer.cancel()
                timer.join()
        except KeyboardInterrupt:
            self.count += 1
            return True
        return False


def _left(channel: Any) -> list[int]:
    """Take all messages that are left in the queue, and return their numbers."""
    return [int(body) for body in take_all(channel, QUEUE)]


def _connections(broker: Broker) -> int:
    port = broker.parameters.port
    return sum(
        bool(each.raddr) and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.Process().net_connections()
    )


@OFTEN
@pytest.mark.parametrize("recovery", [None, Recovery()], ids=["", "recovery"])
@pytest.mark.parametrize(
    ("confirms", "cell_size"), [(confirm_window(), 3000), (confirm_each(), 60)], ids=["window", "each"]
)
def test_an_interrupted_publisher_publishes_on(
    broker, queue, chance, recovery, confirms, cell_size, times, channel
) -> None:
    interrupter, ledger = Interrupter(), Ledger()
    with Publisher(
        broker, routing_key=queue, confirms=confirms, recovery=recovery, observer=ledger.publisher()
    ) as publisher:

        def cell() -> None:
            if chance.random() < 0.5:
                first = publisher.published
                publisher.publish_all(str(number).encode() for number in range(first, first + cell_size))
            else:
                for _ in range(cell_size):
                    publisher.publish(str(publisher.published).encode())
            publisher.flush()

        while interrupter.count < times:
            interrupter.run(cell, chance.uniform(0, 0.15))
    assert publisher.republished == 0
    assert ledger.totals().confirmed == ledger.published == publisher.published
    # Each of them once, in order: none left out, none sent twice, the connection never lost.
    assert _left(channel) == list(range(publisher.published))


@OFTEN
def test_whatever_is_interrupted_of_a_publishers_life_what_is_confirmed_is_there(
    broker, channel, queue, chance, times
) -> None:
    interrupter = Interrupter()
    connections = _connections(broker)
    expected: set[int] = set()
    number = 0

    def cell() -> None:
        nonlocal number
        first = number
        ledger = Ledger()
        try:
            with Publisher(broker, routing_key=queue, topology=OWN, observer=ledger.publisher()) as publisher:
                for _ in range(50):
                    number += 1
                    publisher.publish(str(number - 1).encode())
        finally:
            messages = ledger.account().messages
            expected.update(first + messages.index[messages["confirmed_ns"] > 0])

    while interrupter.count < times:
        interrupter.run(cell, chance.uniform(0, 0.06))
        number += 1  # the last may or may not have been published
    assert expected <= set(_left(channel))
    assert _connections(broker) == connections


@OFTEN
@pytest.mark.parametrize("recovery", [None, Recovery()], ids=["", "recovery"])
@pytest.mark.parametrize("ack", [ack_each(), ack_every(10), auto_ack()], ids=["each", "every 10", "auto"])
@pytest.mark.parametrize("threaded", [False, True], ids=["", "threaded"])
def test_an_interrupted_consumer_consumes_on(
    broker, queue, chance, recovery, ack, threaded, times, channel
) -> None:
    size = 50 * times
    with Publisher(broker, routing_key=queue) as publisher:
        publisher.publish_all(str(number).encode() for number in range(size))
    done: set[int] = set()

    def work(_method: object, _properties: object, body: bytes) -> None:
        time.sleep(chance.choice((0, 0, 0.001, 0.005)))
        done.add(int(body))

    interrupter = Interrupter()
    with Consumer(
        broker, queue, work, ack=ack, recovery=recovery, threaded=threaded, prefetch_count=20
    ) as consumer:

        def cell() -> None:
            consumer.run(count=60)

        while interrupter.count < times and len(done) < size - 60:
            interrupter.run(cell, chance.uniform(0, 0.12))
        consumer.run(idle_s=0.3)

    assert interrupter.count > times // 2
    left = set(_left(channel))
    assert not left
    if ack != auto_ack():  # with which the broker forgets what it sends
        assert done == set(range(size))


@pytest.mark.parametrize("threaded", [False, True], ids=["", "threaded"])
@pytest.mark.parametrize("ack", [ack_each(), ack_every(5)], ids=["each", "every 5"])
def test_a_message_whose_work_was_interrupted_comes_again(broker, channel, queue, threaded, ack) -> None:
    with Publisher(broker, routing_key=queue) as publisher:
        publisher.publish_all(str(number).encode() for number in range(12))
    interrupted = threading.Event()
    done: list[int] = []

    def work(_method: object, _properties: object, body: bytes) -> None:
        if int(body) == 7 and not interrupted.is_set():
            interrupted.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
            time.sleep(0.3)  # work that goes on in its thread, and ends in the main one
        done.append(int(body))

    with Consumer(broker, queue, work, ack=ack, threaded=threaded, prefetch_count=10) as consumer:
        with pytest.raises(KeyboardInterrupt):
            consumer.run(idle_s=WAIT_S)
        assert interrupted.is_set()
        begin_s = time.monotonic()
        assert consumer.run(count=5) == 5
        assert time.monotonic() - begin_s < WAIT_S / 2
    assert set(done) == set(range(12))
    assert not _left(channel)


def test_an_interrupt_while_the_broker_is_silent_ends_a_consumer_and_it_runs_again(broker, queue) -> None:
    with Link(broker) as link, Consumer(link.url, queue) as consumer:
        with link.partitioned():
            interrupter = Interrupter()
            begin_s = time.monotonic()
            assert interrupter.run(consumer.run, 0.3)
            assert time.monotonic() - begin_s < 8
        with Publisher(broker, routing_key=queue) as publisher:
            publisher.publish(b"0")
        assert consumer.run(count=1, for_s=WAIT_S) == 1


def test_an_interrupt_ends_the_wait_of_a_publisher_for_a_silent_broker(broker, queue) -> None:
    with Link(broker) as link, Publisher(link.url, routing_key=queue, confirms=confirm_each()) as publisher:
        with link.partitioned():
            begin_s = time.monotonic()
            assert Interrupter().run(lambda: publisher.publish(b"0"), 0.3)
            assert time.monotonic() - begin_s < 5
            assert publisher.unconfirmed == 1
        publisher.flush()
        assert publisher.confirmed == 1


def test_closing_an_api_that_lost_its_connection_recovers_as_leaving_its_block_does(broker, queue) -> None:
    with Link(broker) as link:
        api = EngineAPI(link.url, recovery=Recovery(timeout_s=WAIT_S))
        with link.partitioned():
            api.publish_task(Task(engine_id="engine-1", action="process"))
            link.drop()
            assert Interrupter().run(api.flush, 0.5)  # while it tries to connect again
        api.close()
        api.close()
    worked: list[str] = []
    with EngineWorker(broker, lambda task: worked.append(task.engine_id)) as worker:
        worker.run(idle_s=0.3)
    assert set(worked) == {"engine-1"}
