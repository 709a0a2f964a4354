"""Client libraries against a real broker: every variant does what it says, and is found out if not."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.experiments import ClientsConfig, compare_clients
from rmqlab.experiments.clients import compare
from rmqlab.experiments.clients.job import ClientJob
from rmqlab.experiments.clients.variants import VARIANTS, ClientError, Variant

Run = Callable[[Variant, int], float]


@pytest.fixture(scope="module")
def run(broker: Broker) -> Iterator[Run]:
    """Run a variant once, in a thread, with so many messages."""
    with compare.clients_queue(broker) as queue, ThreadPoolExecutor(1) as pool:
        yield lambda variant, count: compare.run_once(
            broker, variant, ClientJob(broker.url, queue, count, b"." * 100), processes=1, pool=pool
        )
    with pytest.raises(BrokerError, match="does not exist"):
        broker.wait_for_queue(queue, timeout_s=0)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)
def test_every_variant_publishes_or_consumes_every_message(variant: Variant, run: Run) -> None:
    # Looks for all of them in the queue, and for none after consuming. amqpstorm waits 10 ms for each.
    assert run(variant, 20 if variant.name == "amqpstorm, confirm each" else 1201) > 0


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda _: 1.0, ".* has 0 ready messages "),
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda _: time.sleep(1), "1 .* unfinished"),
    ],
    ids=["loses", "fails", "takes too long"],
)
def test_who_fails_or_loses_messages_is_named(
    work: Callable[[ClientJob], Any], said: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "SETTLE_S", 0.1)
    monkeypatch.setattr(compare, "RUN_TIMEOUT_S", 0.5)
    with pytest.raises(ClientError, match=rf"losing \(publish\) failed with 5 messages: {said}.*\. Next: "):
        run(dataclasses.replace(VARIANTS[0], name="losing", work=work), 5)


@pytest.mark.usefixtures("nothing_stays")
def test_a_comparison_runs_each_variant_once_a_round_in_processes_that_end(broker: Broker) -> None:
    config = ClientsConfig(
        variants=("pika SelectConnection, window", "rmqlab"), rounds=2, seconds=0.02, processes=2
    )
    result = compare_clients(broker, config)

    runs, ratios = result.frame(), result.frame("ratios").set_index("variant")
    assert sorted(runs["round"]) == [1] * 4 + [2] * 4
    assert (runs[["seconds", "count", "ratio"]] > 0).all(axis=None)
    assert (runs.query("variant.str.contains('Blocking')")["ratio"] == 1).all()
    assert set(runs["rabbitmq"]) == {broker.version}
    assert set(runs["processes"]) == {2}
    assert (ratios["runs"] == 2).all()
    assert (ratios["ratio_low"] <= ratios["ratio"]).all()
    assert (ratios["ratio"] <= ratios["ratio_high"]).all()
    assert len(result.plot().axes) == 1
