"""Client libraries against a real broker: every variant does what it says, and is found out if not."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.experiments import ClientsConfig, compare_clients
from rmqlab.experiments.clients import _compare as compare
from rmqlab.experiments.clients._model import ClientError, Stopwatch, Variant, Workload
from rmqlab.experiments.clients._variants import VARIANTS
from rmqlab.measure import process_pool

SELECT = "pika SelectConnection, window"


@pytest.fixture(scope="module")
def queue(broker: Broker) -> Iterator[str]:
    with compare.clients_queue(broker) as queue:
        yield queue


def _job(broker: Broker, queue: str, variant: Variant, count: int) -> compare.Job:
    return compare.Job(variant, Workload(broker.url, queue, count, 100, window=50, prefetch=60, ack_every=7))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)
def test_every_variant_publishes_or_consumes_every_message(
    broker: Broker, queue: str, variant: Variant
) -> None:
    if variant.library.version is None:
        pytest.skip(f"{variant.library.name} is not installed")
    count = 20 if variant.name == "amqpstorm, confirm each" else 201  # it waits 10 ms for each
    with ThreadPoolExecutor(1) as executor:
        # Looks for all of them in the queue, and for none after consuming.
        assert compare.run_once(broker, _job(broker, queue, variant, count), 1, executor) > 0


def test_a_comparison_runs_each_variant_once_a_round_in_processes_that_end(broker: Broker) -> None:
    before = set(multiprocessing.active_children())
    config = ClientsConfig(variants=(SELECT, "rmqlab"), rounds=2, seconds=0.02, processes=2)
    result = compare_clients(broker, config)

    runs = result.frame()
    assert sorted(runs["round"]) == [1] * 4 + [2] * 4
    assert (runs[["seconds", "count", "ratio"]] > 0).all(axis=None)
    assert (runs.query("variant.str.contains('Blocking')")["ratio"] == 1).all()
    assert set(runs["rabbitmq"]) == {broker.version}
    assert set(runs["processes"]) == {2}
    assert len(result.plot().axes) == 1
    assert set(multiprocessing.active_children()) == before


def test_several_processes_share_the_messages(broker: Broker, queue: str) -> None:
    select = next(each for each in VARIANTS if each.name == SELECT)
    with process_pool(2) as pool:
        assert compare.run_once(broker, _job(broker, queue, select, 301), 2, pool) > 0


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("_lose", r"losing \(publish\) failed with 5 messages: .* has 0 ready messages .*Next: "),
        ("_fail", r"losing \(publish\) failed with 5 messages: OSError: no way\. Next: "),
    ],
)
def test_who_fails_or_loses_messages_is_named(
    broker: Broker, queue: str, work: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "SETTLE_S", 0.1)
    loser = dataclasses.replace(VARIANTS[0], name="losing", work=globals()[work])
    with ThreadPoolExecutor(1) as executor, pytest.raises(ClientError, match=said):
        compare.run_once(broker, _job(broker, queue, loser, 5), 1, executor)


def _lose(workload: Workload, stopwatch: Stopwatch) -> None:
    with stopwatch:
        pass


def _fail(workload: Workload, stopwatch: Stopwatch) -> None:
    raise OSError("no way")


def test_its_queue_is_gone_afterwards(broker: Broker) -> None:
    with compare.clients_queue(broker) as queue:
        broker.wait_for_queue(queue, ready=0)
    with pytest.raises(BrokerError, match="does not exist"):
        broker.wait_for_queue(queue, timeout_s=0)
