"""What acknowledging many messages at once saves, and what it costs when a consumer crashes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pika

from rmqlab import names
from rmqlab.amqp import Acks, Consumer, Crash, Publisher, purge
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY
from rmqlab.errors import BrokerError
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import Load, publish_load
from rmqlab.measure._report import Report


def crash_consumer(
    broker: Broker,
    load: Load,
    *,
    ack: Acks,
    prefetch_count: int,
    crash_at: int,
    timeout_s: float = 60,
) -> dict[str, Any]:
    """Let a consumer crash during a load, and another one do the rest.

    The load waits in `engine:tasks`, which is emptied first. The work of a message is to be
    counted, so that what takes time is the messaging.

    Args:
        broker: a running broker.
        load: the messages.
        ack: when both consumers acknowledge, such as `ack_every(100)`.
        prefetch_count: how many unacknowledged messages each is handed at a time.
        crash_at: how many messages the first consumer does; the next one is its end.
        timeout_s: give up after so many seconds with either consumer.

    Returns:
        ack (its name), published, acked, acked_msg_s (rate of the first consumer, from its
        first delivery to its last acknowledgement; NaN without one), redelivered (deliveries that the broker
        flagged), repeated (messages whose work was done twice), and where it was measured.

    Raises:
        BrokerError: the connection was lost, or not all was done within the time limit.
        ValueError: an argument is out of range.
    """
    if not 1 <= crash_at < load.count:
        raise ValueError(f"crash_at is {crash_at}; it goes from 1 to the load's count - 1")
    load = load.again()
    ledger = Ledger()
    work = _Work(load, crash_at)
    TOPOLOGY.declare(broker)
    purge(broker, names.TASKS)
    recorder = ledger.publisher(identify=load.identify)
    with Publisher(broker, routing_key=names.TASKS, observer=recorder) as publisher:
        publish_load(publisher, load)

    def consume(name: str, count: int) -> None:
        recorder = ledger.consumer(name, identify=load.identify)
        with Consumer(
            broker,
            names.TASKS,
            work,
            ack=ack,
            prefetch_count=prefetch_count,
            observer=recorder,
            name=name,
        ) as consumer:
            consumer.run(count=count, for_s=timeout_s)

    with contextlib.suppress(Crash):
        consume("first", load.count)
    consume("second", load.count - ledger.done)
    if ledger.done < load.count:
        raise BrokerError(
            f"Only {ledger.done} of {load.count} messages were acknowledged within the time limit. "
            "Next: acknowledge by hand, or give fewer messages or a longer timeout_s"
        )
    report = Report.of(ledger, broker)
    first = report.consumers().set_index("consumer").to_dict("index")["first"]
    totals = ledger.totals()
    return {
        "ack": ack.name,
        "published": totals.published,
        "acked": totals.acked,
        "acked_msg_s": first["acked"] / first["busy_s"] if first["acked"] else float("nan"),
        "redelivered": totals.redelivered,
        "repeated": int(np.count_nonzero(work.counts > 1)),
        **report.provenance,
    }


@dataclass(slots=True)
class _Work:
    """Counts how often each message's work is done, and crashes once."""

    load: Load
    crash_at: int
    done: int = 0
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.load.count, np.int64)

    def __call__(self, _: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
        if self.done == self.crash_at:
            self.done += 1
            raise Crash
        self.done += 1
        number = self.load.identify(properties, body)
        if number >= 0:  # not somebody else's
            self.counts[number] += 1
