"""What confirms cost: how many messages a second, and how long until one is confirmed."""

from __future__ import annotations

import itertools
import time
from typing import Any

from rmqlab.amqp import Confirms, Publisher, purge
from rmqlab.broker import Broker
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import Load
from rmqlab.measure._report import Report

MOST = 1_000_000  # messages; more than anybody publishes within the time


def publish_for(
    broker: Broker | str, queue: str, *, confirms: Confirms, seconds: float = 0.5, size_bytes: int = 256
) -> dict[str, Any]:
    """Publish as fast as confirms allow for some time, and wait until all are confirmed.

    Without confirms, it waits until the broker has read all of them. The queue is emptied
    before and afterwards.

    Args:
        broker: a running broker, or an AMQP URL.
        queue: name of a queue that is there.
        confirms: how the publisher waits for confirms.
        seconds: how long new messages are published.
        size_bytes: size of a body, in bytes, from 16.

    Returns:
        strategy (the name of the confirms), published, confirmed, rate_msg_s (over the time
        until the wait is over), confirm_median_ms, confirm_p95_ms, confirm_p99_ms (from
        publishing to its confirm; NaN without confirms), and where it was measured.

    Raises:
        BrokerError: as `Publisher.publish`.
        ValueError: `seconds` is not above 0, or the size is out of range.
    """
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds}; it must be above 0")
    load = Load(MOST, size_bytes)
    ledger = Ledger()
    recorder = ledger.publisher(identify=load.identify)
    purge(broker, queue)
    with Publisher(broker, routing_key=queue, confirms=confirms, observer=recorder) as publisher:
        started_s = time.perf_counter()
        end_s = started_s + seconds
        publisher.publish_all(itertools.takewhile(lambda _: time.perf_counter() < end_s, load.bodies()))
        publisher.flush()
        took_s = time.perf_counter() - started_s
    purge(broker, queue)
    report = Report.of(ledger, broker if isinstance(broker, Broker) else None)
    latency = report.latency().set_index("latency").to_dict("index")["confirm"]
    totals = ledger.totals()
    return {
        "strategy": confirms.name,
        "published": totals.published,
        "confirmed": totals.confirmed,
        "rate_msg_s": totals.published / took_s,
        **{f"confirm_{name}": latency[name] for name in ("median_ms", "p95_ms", "p99_ms")},
        **report.provenance,
    }
