"""Frames of a run, from events made by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from helpers import ledger_of

from rmqlab.measure import Ledger, Report, jain_index, provenance, summarize_repeats


@pytest.fixture
def report() -> Report:
    """Four messages in 4 s; one of them comes twice, one stays with worker-2, worker-3 is idle."""
    ledger = ledger_of(
        *((100 + number / 100, "published", number) for number in range(4)),
        *((100.05, "confirmed", number) for number in range(4)),
        (101, "delivered", 0, "worker-1"),
        (101, "delivered", 1, "worker-2"),
        (102, "acked", 0, "worker-1"),
        (102, "requeued", 1, "worker-2"),
        (102, "delivered", 1, "worker-1", True),
        (102, "delivered", 2, "worker-1"),
        (102, "delivered", 3, "worker-2"),
        (104, "acked", 1, "worker-1"),
        (104, "acked", 2, "worker-1"),
    )
    ledger.consumer("worker-3")
    return Report.of(ledger)


def test_throughput_is_counted_in_bins(report: Report) -> None:
    throughput = report.throughput(bin_s=2)

    assert list(throughput.columns) == ["time_s", "event", "messages", "rate_msg_s"]
    received = throughput.query("event == 'received'")
    assert list(received["time_s"]) == [0, 2]
    assert list(received["messages"]) == [2, 3]
    assert list(received["rate_msg_s"]) == [1, 1.5]


def test_latency_has_perftests_words(report: Report) -> None:
    latency = report.latency().set_index("latency")

    assert list(latency.columns) == [
        *("messages", "min_ms", "median_ms", "p75_ms", "p95_ms", "p99_ms", "max_ms")
    ]
    assert latency.loc["consumer", "min_ms"] == pytest.approx(990)
    assert latency.loc["consumer", "max_ms"] == pytest.approx(1980)
    assert latency.loc["confirm", "median_ms"] == pytest.approx(35)
    assert list(latency["messages"]) == [4, 4]


def test_deliveries_are_listed_one_by_one(report: Report) -> None:
    deliveries = report.deliveries()

    assert list(deliveries.columns) == ["message", "consumer", "delivered_s", "begun_s", "settled_s"]
    assert list(deliveries["message"]) == [0, 1, 1, 2, 3]
    assert list(deliveries["consumer"].str[-1]) == ["1", "2", "1", "1", "2"]
    assert list(deliveries["delivered_s"]) == [1, 1, 2, 2, 2]
    assert list(deliveries["settled_s"].fillna(-1)) == [2, 2, 4, 4, -1]


def test_a_consumer_begins_with_a_message_when_the_one_before_is_settled() -> None:
    ledger = ledger_of(
        *((1, "published", number) for number in range(6)),
        *((1, "delivered", number, "one") for number in range(4)),
        (1, "delivered", 4, "two"),
        *((3, "acked", 0, "one"), (4, "acked", 2, "one"), (6, "acked", 1, "one")),
        *((7, "rejected", 4, "two"), (7, "delivered", 5, "one")),
    )
    report = Report.of(ledger)
    deliveries = report.deliveries()

    # Message 2 was settled out of its turn, before message 1; 3 and 5 never.
    assert list(deliveries["message"]) == [0, 1, 2, 3, 4, 5]
    assert list(deliveries["begun_s"]) == [0, 2, 3, 5, 0, 6]
    assert list(deliveries["settled_s"].fillna(-1)) == [2, 5, 3, -1, 6, -1]
    assert list(report.consumers()["busy_s"]) == [5, 6]


def test_consumers_are_compared(report: Report) -> None:
    consumers = report.consumers().set_index("consumer")

    assert list(consumers.index) == ["worker-1", "worker-2", "worker-3"]
    assert list(consumers["received"]) == [3, 2, 0]
    assert list(consumers["acked"]) == [3, 0, 0]
    assert list(consumers["busy_s"]) == [3, 1, 0]
    assert list(consumers["utilization"]) == pytest.approx([1, 1 / 3, 0])


@pytest.mark.parametrize(
    ("shares", "index"), [([5, 5, 5], 1), ([1, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42), ([0.5], 1)]
)
def test_jains_index(shares: list[float], index: float) -> None:
    assert jain_index(shares) == pytest.approx(index)


def test_an_empty_run_has_frames_too() -> None:
    report = Report.of(Ledger())

    assert Ledger().totals().published == 0
    assert len(report.throughput()) == len(report.consumers()) == len(report.deliveries()) == 0
    assert list(report.latency()["messages"]) == [0, 0]
    assert math.isnan(jain_index(report.consumers()["busy_s"]))
    assert set(provenance()) == {"pika", "python", "cores"}


def test_repeats_are_summarized_with_median_and_spread() -> None:
    frame = pd.DataFrame({"size": [1, 2, 1, 2, 1, 2], "rate_msg_s": [10.0, 5.0, 30.0, None, 11.0, 7.0]})
    summary = summarize_repeats(frame, by="size", values=["rate_msg_s"])

    assert list(summary.columns) == ["size", "runs", "rate_msg_s", "rate_msg_s_low", "rate_msg_s_high"]
    assert summary.to_numpy().tolist() == [[1, 3, 11, 10, 30], [2, 2, 6, 5, 7]]
