"""A load through a real broker, from this process and from several."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pika
import pytest

from rmqlab.amqp import Consumer, Publisher, ack_every, confirm_window, connect, fire_and_forget
from rmqlab.broker import Broker
from rmqlab.errors import ChannelClosedError
from rmqlab.measure import ConstantRate, Ledger, Load, PoissonRate, Report, fan_out, publish_load, run_grid

QUEUE = "test:load"


@pytest.fixture(autouse=True)
def _no_process_stays() -> Iterator[None]:
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) == before


@pytest.fixture
def queue(broker: Broker) -> Iterator[str]:
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True)
        yield QUEUE
    with contextlib.closing(connect(broker)) as connection:
        connection.channel().queue_delete(QUEUE)


def _ready(broker: Broker) -> int:
    with contextlib.closing(connect(broker)) as connection:
        return connection.channel().queue_declare(QUEUE, passive=True).method.message_count


def _balances(broker: Broker, ledger: Ledger) -> bool:
    """Return whether it adds up; what a consumer gave back takes a moment to be in its queue again."""
    pause = threading.Event()
    for _ in range(200):
        if ledger.balance(queued=_ready(broker)).holds:
            return True
        pause.wait(0.05)
    return False


def _publish(broker: Broker, load: Load, ledger: Ledger, **settings: Any) -> None:
    recorder = ledger.publisher(first=load.first, identify=load.identify)
    with Publisher(broker, observer=recorder, **settings) as publisher:
        publish_load(publisher, load)


def _consume(broker: Broker, load: Load, ledger: Ledger, name: str = "consumer", **settings: Any) -> int:
    recorder = ledger.consumer(name, identify=load.identify)
    count = settings.pop("count", None)
    with Consumer(broker, QUEUE, observer=recorder, name=name, **settings) as consumer:
        return consumer.run(count=count, idle_s=0.3, time_s=20)


def test_a_load_goes_through_a_queue_and_the_ledger_balances(broker: Broker, queue: str) -> None:
    load, ledger = Load(5000), Ledger()
    _publish(broker, load, ledger, routing_key=queue)
    assert _balances(broker, ledger)
    _consume(broker, load, ledger, ack=ack_every(100), prefetch_count=1000)

    totals = ledger.totals()
    assert totals.published == totals.confirmed == totals.received == totals.unique == totals.acked == 5000
    assert totals.reordered == totals.redelivered == totals.foreign == 0
    assert _balances(broker, ledger)
    (report,) = Report.of(ledger, broker).totals().to_dict("records")
    assert report["rabbitmq"] == broker.version
    assert Report.of(ledger).latency()["min_ms"].min() > 0


def test_what_a_consumer_did_not_take_in_hand_comes_again_flagged(broker: Broker, queue: str) -> None:
    load, ledger = Load(1000), Ledger()
    _publish(broker, load, ledger, routing_key=queue)
    _consume(broker, load, ledger, "one", count=100, prefetch_count=500)
    assert _balances(broker, ledger)
    _consume(broker, load, ledger, "two", prefetch_count=100)

    totals = ledger.totals()
    assert totals.acked == totals.unique == 1000
    # More were on their way to the first consumer than it ever saw; all of these are flagged.
    assert 0 < totals.requeued == totals.duplicated <= totals.redelivered <= 500
    assert _balances(broker, ledger)
    consumers = Report.of(ledger).consumers().set_index("consumer")
    assert list(consumers["acked"]) == [100, 900]


def test_messages_that_no_queue_wants_are_returned_or_lost(broker: Broker, queue: str) -> None:
    returned, vanished = Ledger(), Ledger()
    _publish(broker, Load(50), returned, routing_key="test:nowhere", mandatory=True)
    _publish(broker, Load(50), vanished, routing_key="test:nowhere")

    assert (returned.totals().returned, returned.totals().confirmed) == (50, 50)
    assert returned.balance().holds
    assert vanished.totals().lost_confirmed == vanished.balance().missing == 50


def test_unconfirmed_publishing_is_told_from_confirmed(broker: Broker, queue: str) -> None:
    ledger = Ledger()
    _publish(broker, Load(50), ledger, routing_key="test:nowhere", confirms=fire_and_forget())

    totals = ledger.totals()
    assert (totals.confirmed, totals.lost_confirmed, totals.lost_unconfirmed) == (0, 0, 50)


def test_a_full_queue_refuses_and_the_ledger_balances(broker: Broker) -> None:
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        arguments = {"x-max-length": 10, "x-overflow": "reject-publish"}
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        load, ledger = Load(500), Ledger()
        _publish(broker, load, ledger, routing_key=QUEUE, confirms=confirm_window(20))
        queued = _ready(broker)
        assert ledger.balance(queued).holds
        _consume(broker, load, ledger)
        channel.queue_delete(QUEUE)

    totals = ledger.totals()
    assert totals.nacked > 0
    assert totals.confirmed + totals.nacked == totals.published == 500
    assert totals.acked == totals.confirmed
    assert ledger.balance().holds


def test_messages_of_others_are_foreign_and_do_no_harm(broker: Broker, queue: str) -> None:
    load, ledger = Load(100), Ledger()
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        for body in (b"", b'{"engine_id": "engine-123", "action": "process"}', load.again().body(7)):
            connection.channel().basic_publish("", queue, body)
    _publish(broker, load, ledger, routing_key=queue)
    _consume(broker, load, ledger)

    assert ledger.totals().foreign == 3
    assert ledger.totals().acked == 100
    assert not ledger.balance().holds


@pytest.mark.parametrize("rate", [ConstantRate(200), PoissonRate(200)])
def test_a_load_keeps_to_its_rate(broker: Broker, queue: str, rate: Any) -> None:
    load, ledger = Load(200, rate=rate), Ledger()
    started_ns = time.perf_counter_ns()
    _publish(broker, load, ledger, routing_key=queue)

    late_s = (ledger.account().messages["published_ns"] - started_ns) / 1e9 - load.arrivals_s()
    assert late_s.min() >= 0
    assert late_s.max() < 10  # however busy the machine is


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"exchange": "test:no-exchange"}, ChannelClosedError),
        ({"size_bytes": 20_000_000}, ChannelClosedError),
    ],
)
def test_a_load_that_the_broker_refuses_is_an_error_and_the_ledger_balances(
    broker: Broker, queue: str, setting: dict[str, Any], error: type[Exception]
) -> None:
    if "size_bytes" in setting and broker.version < "4":
        pytest.skip("the largest message is 16 MiB from RabbitMQ 4 on")
    load, ledger = Load(3, setting.pop("size_bytes", 100)), Ledger()
    with pytest.raises(error, match="Next: "):
        _publish(broker, load, ledger, routing_key=queue, **setting)

    balance = ledger.balance()
    assert balance.published == balance.lost_unconfirmed == balance.missing > 0


def test_processes_publish_and_consume_one_load(broker: Broker, queue: str) -> None:
    ledger = fan_out(broker, Load(4000), queue=queue, publishers=2, consumers=2, idle_s=3, prefetch_count=50)

    totals = ledger.totals()
    assert totals.published == totals.confirmed == totals.unique == totals.acked == 4000
    assert totals.foreign == totals.lost_confirmed == 0
    assert _balances(broker, ledger)
    account = ledger.account()
    assert account.publishers == ("publisher-1", "publisher-2")
    assert account.consumers == ("consumer-1", "consumer-2")
    # One clock for all processes of the machine: nothing arrives before it was published.
    assert (account.messages["delivered_ns"] > account.messages["published_ns"]).all()


def test_any_executor_serves_and_stays_open(broker: Broker, queue: str) -> None:
    with ThreadPoolExecutor(3) as executor:
        first = fan_out(broker, Load(500), queue=queue, publishers=3, executor=executor)
        second = fan_out(
            broker, Load(500), queue=queue, publishers=0, consumers=2, idle_s=0.3, executor=executor
        )

    assert first.totals().confirmed == 500
    assert second.totals().received == 0
    assert second.totals().foreign == 500  # of the other load


def test_dask_serves_where_one_machine_is_not_enough(broker: Broker, queue: str, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    with (
        dask.config.set(temporary_directory=str(tmp_path)),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        load = Load(2000)
        ledger = fan_out(broker, load, queue=queue, publishers=2, consumers=2, idle_s=1, executor=executor)

    assert ledger.totals().acked == ledger.totals().unique == 2000
    assert _balances(broker, ledger)


def test_a_process_that_fails_says_why_and_ends_the_others(broker: Broker, queue: str) -> None:
    started_s = time.monotonic()
    with pytest.raises(ChannelClosedError, match=r"no exchange 'test:no-exchange'.*Next: "):
        fan_out(broker, Load(10), queue=queue, exchange="test:no-exchange", consumers=1, idle_s=60)

    assert time.monotonic() - started_s < 20


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"publishers": -1}, "publishers is -1"),
        ({"consumers": -1}, "consumers is -1"),
        ({"publishers": 0}, "both 0"),
        ({"consumers": 1}, "name of a queue"),
        ({"publishers": 11}, "parts is 11"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fan_out("amqp://nowhere", Load(10), **settings)  # type: ignore[arg-type]


def test_a_grid_of_real_runs_survives_a_bad_cell(broker: Broker, queue: str) -> None:
    def run(prefetch: int) -> Any:
        load, ledger = Load(200), Ledger()
        _publish(broker, load, ledger, routing_key=queue)
        _consume(broker, load, ledger, prefetch_count=prefetch)
        return Report.of(ledger, broker).totals()

    frame = run_grid(run, {"prefetch": [1, 70_000, 100]}, progress=False)

    assert list(frame["error"] == "") == [True, False, True]
    assert "prefetch_count is 70000" in frame["error"].iloc[1]
    assert frame["published"].iloc[0] == 200
