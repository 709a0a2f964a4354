"""Frames of a run, from events made by hand."""

from __future__ import annotations

import math

import pytest
from helpers import body_of

from rmqlab.measure import Ledger, Report, jain_index, provenance

MS = 1_000_000
S = 1000 * MS


@pytest.fixture
def report() -> Report:
    """Four messages in 4 s; one of them comes twice, one stays with worker-2, worker-3 is idle."""
    now_ns = 0
    ledger = Ledger(clock=lambda: now_ns)
    publisher = ledger.publisher()
    one, two, _ = (ledger.consumer(f"worker-{number}") for number in (1, 2, 3))
    for number in range(4):
        now_ns = 100 * S + number * 10 * MS
        publisher.published(number)
    now_ns = 100 * S + 50 * MS
    publisher.confirmed(0, 3)
    now_ns = 101 * S
    one.delivered(1, False, None, body_of(0))
    two.delivered(1, False, None, body_of(1))
    now_ns = 102 * S
    one.settled(1, False, "acked")
    two.settled(1, False, "requeued")
    one.delivered(2, True, None, body_of(1))
    one.delivered(3, False, None, body_of(2))
    two.delivered(2, False, None, body_of(3))
    now_ns = 104 * S
    one.settled(3, True, "acked")
    return Report.of(ledger)


def test_throughput_is_counted_in_bins(report: Report) -> None:
    throughput = report.throughput(bin_s=2)

    assert list(throughput.columns) == ["time_s", "event", "messages", "rate_msg_s"]
    received = throughput.query("event == 'received'")
    assert list(received["time_s"]) == [0, 2, 4]
    assert list(received["messages"]) == [2, 3, 0]
    assert list(received["rate_msg_s"]) == [1, 1.5, 0]
    assert "rejected" not in set(throughput["event"])


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

    assert list(deliveries.columns) == [
        *("message", "consumer", "delivery", "redelivered"),
        *("delivered_s", "begun_s", "settled_s", "outcome"),
    ]
    assert list(deliveries["message"]) == [0, 1, 1, 2, 3]
    assert list(deliveries["consumer"].str[-1]) == ["1", "2", "1", "1", "2"]
    assert list(deliveries["delivery"]) == [1, 1, 2, 1, 1]
    assert list(deliveries["redelivered"]) == [False, False, True, False, False]
    assert list(deliveries["delivered_s"]) == [1, 1, 2, 2, 2]
    assert list(deliveries["settled_s"].fillna(-1)) == [2, 2, 4, 4, -1]
    assert list(deliveries["outcome"].fillna("none")) == ["acked", "requeued", "acked", "acked", "none"]


def test_a_consumer_begins_with_a_message_when_the_one_before_is_settled() -> None:
    now_ns = S
    ledger = Ledger(clock=lambda: now_ns)
    one, two = ledger.consumer("one"), ledger.consumer("two")
    for number in range(4):
        one.delivered(number + 1, False, None, body_of(number))
    two.delivered(1, False, None, body_of(4))
    for now_ns, tag in ((3 * S, 1), (4 * S, 3), (6 * S, 2)):  # noqa: B007 - the clock reads it
        one.settled(tag, False, "acked")
    now_ns = 7 * S
    two.settled(1, False, "rejected")
    one.delivered(5, False, None, body_of(5))
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
    assert list(consumers["unsettled"]) == [0, 1, 0]
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
    assert len(report.throughput()) == len(report.consumers()) == 0
    assert len(report.deliveries()) == 0
    assert list(report.latency()["messages"]) == [0, 0]
    assert math.isnan(report.fairness()["jain"].item())
    assert math.isnan(report.fairness()["jain_busy"].item())
    assert set(provenance()) == {"pika", "python", "cores"}
