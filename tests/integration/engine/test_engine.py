"""The engine against a real broker: what is published, and the outcome of it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pika
import pytest

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.amqp._settle import Outcome
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, EngineWorker, Task
from rmqlab.errors import AddressError, BrokerError, BrokerUnavailableError, InvalidTaskError

TASK = Task("engine-123", "process", {"param": "value"})
WAIT_S = 20  # for an event that is under way; never waited out when all is well


class Record:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, bool]] = []
        self.outcomes: list[Outcome] = []

    def delivered(self, tag: int, redelivered: bool, properties: pika.BasicProperties, body: bytes) -> None:
        self.deliveries.append((properties.message_id, redelivered))

    def settled(self, tag: int, multiple: bool, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Gate:
    """Work that waits until it is let go, so that a test can look at the moment between."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _: Task) -> None:
        self.begun.set()
        assert self.go_on.wait(WAIT_S)


@pytest.fixture
def channel(broker: Broker) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    """A channel of raw pika, and an empty `engine:tasks`."""
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        channel = connection.channel()
        channel.queue_delete(names.TASKS)
        channel.queue_declare(names.TASKS, durable=True)
        channel.confirm_delivery()
        yield channel


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as thread:
        yield thread


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go_on.set()  # a test that failed must not hold up its worker


@pytest.fixture
def work(
    broker: Broker, thread: ThreadPoolExecutor
) -> Iterator[Callable[..., tuple[EngineWorker, Future[int]]]]:
    """Run workers in threads, which are stopped when the test is over."""
    workers: list[EngineWorker] = []

    def work(execute: Callable[[Task], object], **options) -> tuple[EngineWorker, Future[int]]:
        made: Future[EngineWorker] = Future()

        def run() -> int:
            with EngineWorker(broker, execute, **options) as worker:
                made.set_result(worker)
                return worker.run()

        running = thread.submit(run)
        workers.append(made.result(WAIT_S))
        return workers[-1], running

    yield work
    for worker in workers:
        worker.stop()


def _publish(channel, *bodies: bytes) -> None:
    for body in bodies:
        channel.basic_publish("", names.TASKS, body)


def _ready(channel) -> int:
    return channel.queue_declare(names.TASKS, durable=True, passive=True).method.message_count


def test_a_task_is_published_as_persistent_json_with_an_identity(broker, channel) -> None:
    with EngineAPI(broker) as api:
        identity = api.publish_task(TASK)

    _, properties, body = channel.basic_get(names.TASKS, auto_ack=True)
    assert Task.decode(body) == TASK
    assert properties.message_id == identity
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"


def test_identities_differ_unless_given(broker, channel) -> None:
    with EngineAPI(broker) as api:
        identities = [api.publish_task(TASK), api.publish_task(TASK), api.publish_task(TASK, message_id="7")]

    assert len(set(identities)) == 3
    assert identities[2] == "7"


def test_the_queue_of_tasks_is_durable(broker, channel) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="durable"):
        channel.connection.channel().queue_declare(names.TASKS, durable=False)


def test_a_task_without_a_form_in_json_is_not_published(broker, channel) -> None:
    with EngineAPI(broker) as api, pytest.raises(InvalidTaskError):
        api.publish_task(Task("e", "a", {"x": object()}))

    assert _ready(channel) == 0


def test_an_api_can_be_closed_twice(broker) -> None:
    api = EngineAPI(broker)
    api.close()
    api.close()


def test_publishing_after_the_connection_is_gone_is_a_broker_error(broker) -> None:
    api = EngineAPI(broker)
    api.close()

    with pytest.raises(BrokerError, match="Next: "):
        api.publish_task(TASK)


@pytest.mark.parametrize(
    "make", [EngineAPI, lambda broker: EngineWorker(broker, print)], ids=["API", "worker"]
)
def test_a_queue_of_another_kind_in_the_way_is_a_broker_error(broker, channel, make) -> None:
    channel.queue_delete(names.TASKS)
    channel.queue_declare(names.TASKS, durable=True, arguments={"x-max-length": 1})

    with pytest.raises(BrokerError, match=r"engine:tasks.*Next: "):
        make(broker)


def test_tasks_are_done_and_acknowledged(broker, channel) -> None:
    done: list[Task] = []
    record = Record()
    with EngineAPI(broker) as api:
        identities = [api.publish_task(TASK) for _ in range(3)]
    with EngineWorker(broker, done.append, name="w", observer=record) as worker:
        assert worker.run(count=3) == 3

    assert done == [TASK] * 3
    assert record.outcomes == ["acked"] * 3
    assert record.deliveries == [(identity, False) for identity in identities]
    assert _ready(channel) == 0


def test_a_crashed_workers_task_comes_again(broker, channel) -> None:
    _publish(channel, TASK.encode())

    def crash(_: Task) -> None:
        raise KeyboardInterrupt

    with EngineWorker(broker, crash) as worker, pytest.raises(KeyboardInterrupt):
        worker.run()
    record = Record()
    with EngineWorker(broker, lambda _: None, observer=record) as worker:
        worker.run(count=1)

    assert [redelivered for _, redelivered in record.deliveries] == [True]
    assert _ready(channel) == 0


def test_a_failed_task_is_logged_and_comes_again(broker, channel, caplog) -> None:
    _publish(channel, TASK.encode())
    record = Record()
    failures = iter([RuntimeError("broken engine")])

    def fail_once(_: Task) -> None:
        for failure in failures:
            raise failure

    with caplog.at_level(logging.ERROR, "rmqlab"), EngineWorker(broker, fail_once, observer=record) as worker:
        worker.run(count=2)

    assert record.outcomes == ["requeued", "acked"]
    assert [redelivered for _, redelivered in record.deliveries] == [False, True]
    assert "while engine-worker handled the task of engine-123" in caplog.text
    assert "broken engine" in caplog.text
    assert _ready(channel) == 0


def test_a_failed_task_can_be_rejected_instead(broker, channel, caplog) -> None:
    _publish(channel, TASK.encode(), TASK.encode())
    record = Record()

    def fail(_: Task) -> None:
        raise RuntimeError

    with EngineWorker(broker, fail, on_failure="reject", observer=record) as worker:
        worker.run(count=2)

    assert record.outcomes == ["rejected"] * 2
    assert _ready(channel) == 0


@pytest.mark.parametrize("on_failure", ["requeue", "reject"])
def test_a_malformed_body_is_logged_and_rejected_and_the_worker_goes_on(
    broker, channel, caplog, on_failure
) -> None:
    deep = b'{"engine_id": "e", "action": "a", "data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    bad = [b"", b"not json", b"{}", b"\xff", deep]
    _publish(channel, *bad, TASK.encode())
    done: list[Task] = []
    record = Record()
    with (
        caplog.at_level(logging.ERROR, "rmqlab"),
        EngineWorker(broker, done.append, on_failure=on_failure, observer=record) as worker,
    ):
        worker.run(count=len(bad) + 1)

    assert record.outcomes == ["rejected"] * len(bad) + ["acked"]
    assert done == [TASK]
    assert caplog.text.count("rejected: The body is no task") == len(bad)
    assert _ready(channel) == 0


def test_a_rejected_message_is_dead_lettered_where_the_queue_says_so(broker, channel) -> None:
    # Such a queue has other arguments than the engine declares, so a policy would set it;
    # here it is the worker's rejection without requeueing that counts.
    channel.queue_declare("dead", exclusive=True)
    channel.queue_declare(
        "source",
        exclusive=True,
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
    )
    channel.basic_publish("", "source", b"poison")
    method, _, _ = channel.basic_get("source")
    channel.basic_nack(method.delivery_tag, requeue=False)

    found = next(channel.consume("dead", auto_ack=True, inactivity_timeout=WAIT_S))
    assert found[2] == b"poison"


def test_with_prefetch_one_the_second_task_stays_in_the_queue(broker, channel, work, gate) -> None:
    _publish(channel, TASK.encode(), TASK.encode())
    work(gate, prefetch_count=1)
    assert gate.begun.wait(WAIT_S)

    broker.wait_for_queue(names.TASKS, ready=1)


def test_without_a_prefetch_limit_one_worker_takes_all(broker, channel, work, gate) -> None:
    _publish(channel, *[TASK.encode()] * 3)
    work(gate, prefetch_count=0)
    assert gate.begun.wait(WAIT_S)

    assert _ready(channel) == 0


def test_stop_before_run_returns_at_once(broker, channel) -> None:
    _publish(channel, TASK.encode())
    with EngineWorker(broker, lambda _: None) as worker:
        worker.stop()
        assert worker.run() == 0

    broker.wait_for_queue(names.TASKS, ready=1)


def test_stop_ends_a_worker_that_waits(broker, channel, work) -> None:
    worker, running = work(lambda _: None)
    worker.stop()

    assert running.result(WAIT_S) == 0


@pytest.mark.parametrize("prefetch_count", [0, 1, 2])
def test_stop_lets_the_task_in_hand_end_and_no_other_begin(
    broker, channel, work, gate, prefetch_count
) -> None:
    _publish(channel, *[TASK.encode()] * 3)
    worker, running = work(gate, prefetch_count=prefetch_count)
    assert gate.begun.wait(WAIT_S)
    worker.stop()
    gate.go_on.set()

    assert running.result(WAIT_S) == 1
    broker.wait_for_queue(names.TASKS, ready=2)


def test_stop_after_close_does_nothing(broker) -> None:
    worker = EngineWorker(broker, lambda _: None)
    worker.close()
    worker.stop()


@pytest.mark.parametrize("prefetch_count", [0, 1, 10])
def test_a_count_leaves_the_rest_in_the_queue(broker, channel, prefetch_count) -> None:
    _publish(channel, *[TASK.encode()] * 5)
    with EngineWorker(broker, lambda _: None, prefetch_count=prefetch_count) as worker:
        assert worker.run(count=2) == 2

    broker.wait_for_queue(names.TASKS, ready=3)


def test_a_worker_can_run_again(broker, channel) -> None:
    _publish(channel, *[TASK.encode()] * 3)
    with EngineWorker(broker, lambda _: None) as worker:
        assert worker.run(count=1) == 1
        assert worker.run(count=2) == 2

    assert _ready(channel) == 0


def test_a_deleted_queue_is_an_error_and_not_a_silent_end(broker, channel, work) -> None:
    begun = threading.Event()
    _, running = work(lambda _: begun.set())
    _publish(channel, TASK.encode())
    assert begun.wait(WAIT_S)
    channel.queue_delete(names.TASKS)

    with pytest.raises(BrokerError, match=r"its queue is gone.*Next: "):
        running.result(WAIT_S)


def test_a_connection_that_the_broker_closes_is_an_error(broker, channel, work) -> None:
    if broker.management_url is None:
        pytest.skip("only the management API closes a connection from outside")
    _, running = work(lambda _: None, name="to-be-closed")

    _close_connection(broker, "to-be-closed")

    with pytest.raises(BrokerError, match=r"to-be-closed lost the connection.*Next: "):
        running.result(WAIT_S)


def _close_connection(broker: Broker, name: str) -> None:
    """Close a connection by its client's name, as soon as the management API knows it."""
    parameters = broker.parameters
    user = parameters.credentials
    pause = threading.Event()
    with httpx.Client(
        base_url=f"{broker.management_url}/api", auth=(user.username, user.password), trust_env=False
    ) as client:
        for _ in range(100):
            for connection in client.get("/connections").json():
                if connection.get("client_properties", {}).get("connection_name") == name:
                    client.delete(f"/connections/{connection['name']}").raise_for_status()
                    return
            pause.wait(0.1)
    raise AssertionError(f"the management API knows no connection {name}")


@pytest.mark.parametrize(
    "options", [{"prefetch_count": -1}, {"prefetch_count": 65536}, {"on_failure": "retry"}]
)
def test_wrong_options_are_refused_before_a_connection_is_made(options) -> None:
    with pytest.raises(ValueError, match="is"):
        EngineWorker("amqp://127.0.0.1:1", lambda _: None, **options)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_goes_from_one(broker, count: int) -> None:
    with EngineWorker(broker, lambda _: None) as worker, pytest.raises(ValueError, match="count"):
        worker.run(count=count)


@pytest.mark.parametrize(
    ("change", "clue"), [("password", "refuses user"), ("virtual host", "has no virtual host")]
)
def test_wrong_credentials_are_told_apart(broker, change: str, clue: str) -> None:
    url = broker.url
    user = broker.parameters.credentials
    if change == "password":
        url = url.replace(f":{user.password}@", ":wr0ng@")
    else:
        url = url.rpartition("/")[0] + "/no-such-host"

    with pytest.raises(BrokerUnavailableError, match=rf"{clue}.*Next: ") as caught:
        connect(url)
    assert "wr0ng" not in str(caught.value)
    assert f":{user.password}@" not in str(caught.value)


def test_a_connection_has_the_name_it_was_given(broker) -> None:
    with contextlib.closing(connect(broker.url, name="by-url")) as connection:
        assert connection.is_open


def test_an_address_that_cannot_be_right_is_an_address_error() -> None:
    with pytest.raises(AddressError):
        connect("http://localhost")
