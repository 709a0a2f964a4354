"""Brokers of our own, broken on purpose: that it happens, and that all is well again afterwards.

Each source is tested where it is usable, as in `test_sources.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pika
import pytest
from helpers import OWN, channel_to, eventually, remains_of, require, running, take_all
from pika import exceptions as amqp_errors

from rmqlab.amqp import connect
from rmqlab.broker import QUEUE_METADATA_FLUSH_S, OwnBroker, start_broker
from rmqlab.broker._own_broker import _has_alarm
from rmqlab.errors import BrokerUnavailableError, FaultError
from rmqlab.experiments import break_everything

pytestmark = pytest.mark.usefixtures("interrupts_as_in_a_terminal")

PERSISTENT, TRANSIENT = (pika.BasicProperties(delivery_mode=mode) for mode in (2, 1))
CLASSIC, QUORUM = "rmqlab-test-classic", "rmqlab-test-quorum"
MESSAGES = 100
Connection = pika.BlockingConnection


@pytest.fixture(scope="module", params=OWN)
def first(request: pytest.FixtureRequest) -> Iterator[OwnBroker]:
    """One broker of a source for all tests of this file, with queues that hold messages."""
    require(request.param)
    with start_broker(request.param, own=True) as broker:
        yield broker


@pytest.fixture
def own(first: OwnBroker) -> OwnBroker:
    return first.start()  # a test may have stopped it


@contextlib.contextmanager
def _connect(broker: OwnBroker) -> Iterator[Connection]:
    connection = Connection(broker.parameters)
    yield connection
    if connection.is_open:
        connection.close()


def _fate(connection: Connection, *, seconds: float = 10) -> Exception | None:
    """Serve a connection until it ends; return what ended it, or None if nothing did."""
    deadline_s = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline_s:
            connection.process_data_events(time_limit=0.1)
    except amqp_errors.AMQPError as error:
        return error
    return None


def _is_forced(fate: Exception | None) -> bool:
    return isinstance(fate, amqp_errors.ConnectionClosedByBroker) and fate.reply_code == 320


def _takes_connections(broker: OwnBroker) -> bool:
    with channel_to(broker) as channel:
        return channel.is_open


def _fill(broker: OwnBroker) -> None:
    """Publish messages to durable queues, and wait until they have survived a crash's reach."""
    with channel_to(broker) as channel:
        channel.queue_declare(CLASSIC, durable=True)
        channel.queue_declare(QUORUM, durable=True, arguments={"x-queue-type": "quorum"})
        channel.connection.sleep(QUEUE_METADATA_FLUSH_S)
        for queue in (CLASSIC, QUORUM):
            channel.queue_purge(queue)
            for _ in range(MESSAGES):
                channel.basic_publish("", queue, b"persistent", PERSISTENT)
        channel.basic_publish("", CLASSIC, b"transient", TRANSIENT)


@contextlib.contextmanager
def _interrupted(*moments: Callable[[], object]) -> Iterator[None]:
    """Interrupt the main thread as Ctrl-C does, as soon as something is so: each in turn."""
    main = threading.get_ident()

    def interrupt() -> None:
        for is_so in moments:
            if eventually(is_so):
                signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    thread.join()


def _server_is_gone(broker: OwnBroker) -> bool:
    return not broker._source.is_running()


# --- down and up again ------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["kill", "restart"])
def test_what_was_persistent_and_confirmed_is_there_again_at_the_same_url(own: OwnBroker, fault: str) -> None:
    _fill(own)
    url = own.url
    with _connect(own) as connection, ThreadPoolExecutor(1) as thread:
        client = thread.submit(_fate, connection)
        before_ns = time.perf_counter_ns()
        outage = getattr(own, fault)(down_s=0.3)
        fate = client.result()

    assert outage.fault == fault
    assert before_ns < outage.down_ns < outage.up_ns < time.perf_counter_ns()
    assert outage.lasted_s >= 0.3
    assert own.url == url
    assert _is_forced(fate) if fault == "restart" else isinstance(fate, amqp_errors.StreamLostError)
    with channel_to(own) as channel:
        assert take_all(channel, CLASSIC) == take_all(channel, QUORUM) == [b"persistent"] * MESSAGES


def test_an_interrupt_while_it_is_down_brings_it_up_before_it_goes_on_and_another_changes_nothing(
    own: OwnBroker,
) -> None:
    with own.paused():  # which is no obstacle
        with _interrupted(lambda: _server_is_gone(own), lambda: not _server_is_gone(own)):
            own.kill(down_s=300)

        assert _takes_connections(own)
    assert _takes_connections(own)


def test_one_that_has_ended_by_itself_is_started_by_restart(own: OwnBroker) -> None:
    own._source.signal("SIGKILL")
    assert eventually(lambda: _server_is_gone(own))
    with pytest.raises(FaultError, match=r"no server to pause. Next: call .*restart"), own.paused():
        pass

    own.restart()

    assert _takes_connections(own)


@pytest.mark.parametrize("down_s", [-1, float("nan"), float("inf")])
def test_a_time_to_be_down_is_a_number_from_0(own: OwnBroker, down_s: float) -> None:
    with pytest.raises(ValueError, match="down_s is"):
        own.kill(down_s=down_s)


# --- paused -----------------------------------------------------------------------------


def test_a_paused_broker_says_nothing_and_goes_on_afterwards(own: OwnBroker) -> None:
    with _connect(own) as connection:
        with own.paused() as outage:
            assert outage.down_ns
            assert not outage.up_ns
            with pytest.raises(BrokerUnavailableError):
                connect(f"{own.url}?stack_timeout=0.5")
            assert _fate(connection, seconds=0.2) is None

        assert outage.lasted_s >= 0.7
        assert outage.up_ns > outage.down_ns
        assert connection.channel().is_open
        assert _takes_connections(own)


def test_an_interrupt_resumes_it(own: OwnBroker) -> None:
    paused = threading.Event()
    with _interrupted(paused.is_set), own.paused():
        paused.set()
        threading.Event().wait(30)

    assert _takes_connections(own)


def test_a_freeze_that_the_engine_did_not_manage_is_tried_again(
    own: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runc does on a busy machine: "unable to freeze"."""
    if own.source != "container":
        pytest.skip("a node's processes are stopped by the system")
    from docker import APIClient
    from docker.errors import APIError

    pause, refusals = APIClient.pause, [APIError("unable to freeze")] * 2

    def refuse_twice(client: APIClient, name: str) -> None:
        if refusals:
            raise refusals.pop()
        pause(client, name)

    monkeypatch.setattr(APIClient, "pause", refuse_twice)
    with own.paused() as outage:
        assert outage.down_ns
    assert not refusals
    assert _takes_connections(own)


# --- low on memory ----------------------------------------------------------------------


def _watermark(broker: OwnBroker) -> str:
    return broker.evaluate("vm_memory_monitor:get_vm_memory_high_watermark().")


def test_a_memory_alarm_blocks_publishers_and_is_over_afterwards(own: OwnBroker) -> None:
    before = _watermark(own)
    said: list[str] = []
    with _connect(own) as connection:
        connection.add_on_connection_blocked_callback(lambda *_: said.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: said.append("unblocked"))
        channel = connection.channel()
        with own.memory_alarm() as outage:
            channel.basic_publish("", "nowhere", b"x")
            assert eventually(lambda: connection.process_data_events(0.05) or said)
            with pytest.raises(FaultError, match="low on memory already"), own.memory_alarm():
                pass
        assert eventually(lambda: connection.process_data_events(0.05) or len(said) > 1)

    assert said == ["blocked", "unblocked"]
    assert 0 < outage.down_ns < outage.up_ns
    assert _watermark(own) == before


def test_an_interrupt_ends_the_alarm(own: OwnBroker) -> None:
    before = _watermark(own)
    with _interrupted(lambda: _has_alarm(own._endpoint)), own.memory_alarm():
        threading.Event().wait(30)

    assert not _has_alarm(own._endpoint)
    assert _watermark(own) == before


# --- connections and queues -------------------------------------------------------------


@pytest.fixture
def ghosts(own: OwnBroker) -> int:
    """How many connections the broker lists that there are no more; RabbitMQ 3.10 was seen to list one."""
    own.close_connections()
    return own.close_connections()


def test_connections_are_closed_all_at_once_also_of_who_does_not_hear_of_it(
    own: OwnBroker, ghosts: int
) -> None:
    with _connect(own) as serving, _connect(own) as idle, ThreadPoolExecutor(1) as thread:
        channel = idle.channel()
        channel.queue_declare(CLASSIC, durable=True)
        channel.basic_consume(CLASSIC, lambda *_: None)
        fate = thread.submit(_fate, serving)

        assert own.close_connections() == ghosts + 2

        own.wait_for_queue(CLASSIC, consumers=0, timeout_s=2)
        assert _is_forced(fate.result())
        assert _is_forced(_fate(idle))
    assert own.close_connections() == ghosts


def test_a_queue_is_deleted_under_its_consumer(own: OwnBroker) -> None:
    with _connect(own) as connection:
        channel = connection.channel()
        cancelled: list[object] = []
        channel.add_on_cancel_callback(cancelled.append)
        channel.queue_declare("to be deleted", durable=True)
        channel.basic_consume("to be deleted", lambda *_: None)

        own.delete_queue("to be deleted")

        assert eventually(lambda: connection.process_data_events(0.05) or cancelled)
    with pytest.raises(FaultError, match=r"There is no queue 'to be deleted'.*Next: "):
        own.delete_queue("to be deleted")


# --- a broker that is not ours ----------------------------------------------------------


FAULTS = ("kill", "restart", "paused", "memory_alarm", "close_connections", "delete_queue")


def test_one_that_somebody_else_runs_is_not_broken(own: OwnBroker) -> None:
    with patch.dict(os.environ, own.environment()), start_broker() as broker:
        assert broker.source == "external"
        assert broker.environment()["RMQLAB_OWN_BROKER"] == own.source
        assert all(hasattr(own, fault) for fault in FAULTS)
        assert not any(hasattr(broker, fault) for fault in FAULTS)
        with pytest.raises(FaultError, match=r"somebody else's. Next: .*start_broker\(own=True\)"):
            break_everything(broker)


# --- an end in the middle of it ---------------------------------------------------------


@pytest.mark.parametrize("moment", ["down", "starting"])
def test_stop_ends_a_broker_that_is_down_or_half_started(own: OwnBroker, monkeypatch, moment: str) -> None:
    remains = remains_of(own.source, own._source.resources())
    starting = threading.Event()
    run = own._source.run
    monkeypatch.setattr(own._source, "run", lambda: starting.set() or run())
    with ThreadPoolExecutor(1) as thread:
        killing = thread.submit(own.kill, down_s=300 if moment == "down" else 0)
        if moment == "starting":
            assert starting.wait(30)
        assert eventually(lambda: _server_is_gone(own) == (moment == "down"))
        started_s = time.monotonic()
        own.stop()

        assert time.monotonic() - started_s < 8
        with pytest.raises(FaultError, match="was stopped while it was down"):
            killing.result(5)
    assert not remains()


OWNER = """
import json, sys
from rmqlab.broker import start_broker
broker = start_broker(sys.argv[1], own=True)
broker.paused().__enter__()
print(json.dumps(broker._source.resources()), flush=True)
sys.stdin.read()
"""


def test_nothing_stays_when_the_owner_of_a_paused_broker_is_killed(first: OwnBroker) -> None:
    with running("-c", OWNER, first.source, stderr=None) as process:
        assert process.stdout
        remains = remains_of(first.source, json.loads(process.stdout.readline()))
        assert remains()

        process.kill()

        assert eventually(lambda: not remains())
