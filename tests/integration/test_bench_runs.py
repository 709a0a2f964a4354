"""The bench against a real broker: every variant does what it says, and is found out if not."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.experiments.clients import (
    BenchError,
    Stopwatch,
    Suite,
    Variant,
    Workload,
    find_suites,
    run_once,
    run_suite,
)
from rmqlab.experiments.clients import _runner as runner
from rmqlab.experiments.clients._command import bench
from rmqlab.experiments.clients._model import PIKA
from rmqlab.experiments.clients._process import run_in_processes
from rmqlab.experiments.clients._rmqlab import fill

COUNT = 200
SLOW = 20  # messages for who waits 10 ms for each confirm


def _contestants() -> Iterator[Variant]:
    """Give each way of working once, whatever suites it is in."""
    seen = set()
    for suite in find_suites([]):
        for each in suite.variants:
            key = (each.work, *sorted(each.arguments.items()))
            if key not in seen:
                seen.add(key)
                yield each


def _lose(order: Workload, stopwatch: Stopwatch) -> None:
    with stopwatch:
        pass


def _sleep(order: Workload, stopwatch: Stopwatch) -> None:
    time.sleep(30)


def _fail(order: Workload, stopwatch: Stopwatch) -> None:
    raise OSError(f"no way to {order.url}")


LOSER = Variant("loser", PIKA, "publish", _lose)


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes of variants find the functions above."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture(scope="module")
def queue(broker: Broker) -> Iterator[str]:
    with runner.bench_queue(broker) as queue:
        yield queue


@pytest.mark.parametrize("variant", list(_contestants()), ids=str)
def test_every_contestant_publishes_or_consumes_every_message(
    broker: Broker, queue: str, variant: Variant
) -> None:
    if variant.library.version is None:
        pytest.skip(f"{variant.library.name} is not installed")
    count = SLOW if variant.library.name == "amqpstorm" and variant.role == "publish" else COUNT
    _purge(broker, queue)
    if variant.role == "consume":
        fill(broker.url, queue, count, variant.body_bytes)

    seconds = variant.run(broker.url, queue, count)

    expected = count if variant.role == "publish" else 0
    assert seconds > 0
    assert runner.settled_count(broker, queue, expected) == expected


def test_a_suite_runs_each_contestant_once_a_round(broker: Broker) -> None:
    (suite,) = find_suites(["ledger"])
    suite = dataclasses.replace(suite, variants=suite.variants[:2], rounds=1)
    runs: list[str] = []
    outcome = run_suite(broker, suite, repeats=2, seconds=0.02, on_run=runs.append)

    assert outcome.failures == ()
    assert sorted(each.round for each in outcome.results) == [1, 1, 2, 2]
    assert len(runs) == 6  # with the warm-ups
    assert all(each.seconds > 0 for each in outcome.results)


def test_the_command_shows_a_table_and_writes_runs_and_a_report(
    broker: Broker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    csv = tmp_path / "runs" / "bench.csv"
    bench(["ledger"], repeats=1, seconds=0.02, csv=csv, output=tmp_path / "report")

    shown = capfd.readouterr().out
    assert "with ledger" in shown
    assert "times as fast as without ledger" in shown
    runs = pd.read_csv(csv)
    assert len(runs) == 8
    assert set(runs["rabbitmq"]) == {broker.version}
    assert (tmp_path / "report" / "index.html").is_file()


def test_several_processes_share_the_messages(broker: Broker, queue: str) -> None:
    (suite,) = find_suites(["processes"])
    two = next(each for each in suite.variants if each.name == suite.focus and each.processes == 2)

    assert run_once(broker, two, queue, 301) > 0  # which finds them all in the queue


def test_who_loses_messages_is_named_and_does_not_run_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SETTLE_S", 0.1)
    suite = Suite("losing", "Losing", "", "loser", (LOSER,))
    outcome = run_suite(broker, suite, repeats=2)

    assert outcome.results == ()
    (failure,) = outcome.failures
    assert "loser left 0 messages in the queue, not 100" in failure


def test_who_takes_too_long_is_ended(broker: Broker, queue: str) -> None:
    sleeper = dataclasses.replace(LOSER, name="sleeper", work=_sleep)
    started_s = time.monotonic()
    with pytest.raises(BenchError, match=r"sleeper took longer than 1 s with 5 messages"):
        run_in_processes(sleeper, Workload(broker.url, queue, 5), limit_s=1)

    assert time.monotonic() - started_s < 3


def test_what_a_contestant_raises_is_told_without_the_password(broker: Broker, queue: str) -> None:
    failing = dataclasses.replace(LOSER, name="failing", work=_fail)
    with pytest.raises(BenchError, match=r"failing failed \(OSError: no way to amqp") as raised:
        run_in_processes(failing, Workload(broker.url, queue, 5))

    assert "***" in str(raised.value)
    assert broker.url not in str(raised.value)


def test_the_queue_of_a_bench_is_gone_afterwards(broker: Broker) -> None:
    with runner.bench_queue(broker) as queue:
        assert runner.settled_count(broker, queue, 0) == 0
    with pytest.raises(BrokerError, match="no queue"):
        runner.settled_count(broker, queue, 0)


def _purge(broker: Broker, queue: str) -> None:
    with contextlib.closing(connect(broker)) as connection:
        connection.channel().queue_purge(queue)
