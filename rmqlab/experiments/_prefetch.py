"""What a prefetch does: how evenly work is shared, and how fast one consumer gets it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pandas as pd

from rmqlab import names
from rmqlab.amqp import Consumer, Publisher, ack_each, connect, purge
from rmqlab.broker import Broker, Link
from rmqlab.engine import TOPOLOGY
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import Load, publish_load
from rmqlab.measure._report import NS_PER_S, Report
from rmqlab.measure._snapshots import ACKED

CALLS = 20
QUIET_S = 5.0


def round_trip_ms(broker: Broker | Link | str, *, calls: int = CALLS) -> float:
    """Measure how long a question to the broker and its answer are on their way.

    Args:
        broker: a broker of `start_broker`, a link to one, or an AMQP URL.
        calls: how many questions; each is a `basic_qos`, which the broker answers at once.

    Returns:
        The quickest, which nothing else held up, in milliseconds.

    Raises:
        BrokerUnavailableError: no connection could be opened.
        ValueError: `calls` is below 1.
    """
    if calls < 1:
        raise ValueError(f"calls is {calls}; it goes from 1")
    with contextlib.closing(connect(broker.url if isinstance(broker, Link) else broker)) as connection:
        channel = connection.channel()
        times_s = []
        for _ in range(calls):
            asked_s = time.perf_counter()
            channel.basic_qos(prefetch_count=1)
            times_s.append(time.perf_counter() - asked_s)
    return min(times_s) * 1000


def consume_load(
    broker: Broker,
    load: Load,
    *,
    prefetch_count: int,
    link: Link | None = None,
    queue: str = names.TASKS,
) -> pd.DataFrame:
    """Put a load into a queue, and let one consumer do its work, acknowledging each message.

    The queue is emptied, and then filled before the consumer begins. The work of a message is
    to wait for as long as the load says, as for an engine on another machine.

    Args:
        broker: a running broker; the load is published to it without the link.
        load: the messages and how long their work takes.
        prefetch_count: how many unacknowledged messages the broker hands out at a time; 0 is
            no limit.
        link: what the consumer connects through; None connects to the broker itself.
        queue: name of a queue of the engine's topology.

    Returns:
        One row: delay_ms (of the link, one way), prefetch, task_ms (mean time of a message's
        work), published, acked, redelivered, rate_msg_s (acknowledged messages over the time
        from the first delivery to the last acknowledgement), idle_share (part of that time
        without a message in hand), and where it was measured: rabbitmq, pika, python, cores.

    Raises:
        BrokerError: the broker is gone.
        ValueError: an argument is out of range.
    """
    load = load.again()
    durations_s = load.durations_s()
    ledger = Ledger()
    TOPOLOGY.declare(broker)
    purge(broker, queue)
    publishing = ledger.publisher(identify=load.identify)
    with Publisher(broker, routing_key=queue, observer=publishing) as publisher:
        publish_load(publisher, load)

    def work(_: object, properties: Any, body: bytes) -> None:
        number = load.identify(properties, body)
        if number >= 0:  # not somebody else's
            time.sleep(durations_s[number])

    with Consumer(
        link.url if link else broker,
        queue,
        work,
        ack=ack_each(),
        prefetch_count=prefetch_count,
        observer=ledger.consumer(identify=load.identify),
    ) as consumer:
        consumer.run(count=load.count, idle_s=QUIET_S)
    report = Report.of(
        ledger,
        broker,
        delay_ms=link.delay_ms if link else 0.0,
        prefetch=prefetch_count,
        task_ms=load.work_s / load.count * 1000,
    )
    totals = report.totals()
    rate_msg_s, idle_share = _rate_msg_s(report), 1 - report.fairness()["mean_utilization"]
    columns = ["delay_ms", "prefetch", "task_ms", "published", "acked", "redelivered"]
    return totals[columns].assign(
        rate_msg_s=rate_msg_s,
        idle_share=idle_share,
        **{name: totals[name] for name in report.provenance},
    )


def _rate_msg_s(report: Report) -> float:
    deliveries = report.account.deliveries
    acked = deliveries[deliveries["outcome"] == ACKED]
    if not len(acked):
        return float("nan")
    return len(acked) / float(acked["settled_ns"].max() - deliveries["delivered_ns"].min()) * NS_PER_S
