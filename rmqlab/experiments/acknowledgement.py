"""What acknowledging many messages at once saves, and what it costs when a consumer crashes."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from rmqlab import names
from rmqlab.amqp import Consumer, Crash, Publisher, ack_every, purge
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.acknowledgement_figures import plot_ack_batches
from rmqlab.measure import Ledger, Load, Report, provenance, publish_load, summarize_repeats
from rmqlab.measure._bar import bar_of
from rmqlab.view import Mark, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class AckBatchesConfig(Config):
    """How many messages are acknowledged at once, and when the consumer crashes.

    Attributes:
        load: the messages. Their work is to be counted, so that it is messaging that takes time.
        batches: how many messages one acknowledgement is for, one run each.
        crash_at: how many messages the first consumer does; the next one is its end.
        prefetch_count: how many unacknowledged messages a consumer has at most.
        repeats: how often each batch size is run.
        timeout_s: give up after so many seconds with either consumer.
    """

    load: Load = field(default_factory=lambda: Load(count=8_000))
    batches: Sequence[int] = (1, 10, 100, 1000)
    crash_at: int = 5_999
    prefetch_count: int = 2_000
    repeats: int = 3
    timeout_s: float = 60
    FULL: ClassVar = {"load": Load(count=40_000), "crash_at": 29_999, "repeats": 10}

    def __post_init__(self) -> None:
        if not 1 <= self.crash_at < self.load.count:
            raise ValueError(f"crash_at is {self.crash_at}; it goes from 1 to the load's count - 1")


def measure_ack_batches(
    broker: Broker, config: AckBatchesConfig | None = None, *, progress: bool = True
) -> Result:
    """Let a consumer crash during a load, and another one do the rest, for each batch size.

    The load waits in `engine:tasks`, which is emptied first. All sizes run once, then all of them
    again.

    Args:
        broker: a running broker.
        config: the batches; `AckBatchesConfig.quick()` if None.
        progress: whether to show a progress bar.

    Returns:
        One row a run: n (the batch size), repeat (from 0), published, acked, acked_msg_s (of the
        first consumer, from its first delivery to its last acknowledgement; NaN without one),
        redelivered (deliveries that the broker flagged), repeated (messages whose work was done
        twice). `summary` has a row a batch size: the medians, with their `…_low` and `…_high`.
        The last run of each size is recorded, under the size as a word.

    Raises:
        BrokerError: the connection was lost, or not all was done within the time limit.
    """
    config = config or AckBatchesConfig.quick()
    runs = list(itertools.product(range(config.repeats), config.batches))
    rows, scenes = [], {}
    for repeat, n in bar_of(runs, "run", progress=progress):
        row, scenes[str(n)] = _crash(broker, config, n)
        rows.append({"n": n, "repeat": repeat, **row})
    frame = pd.DataFrame(rows)
    summary = summarize_repeats(frame, by="n", values=["acked_msg_s", "repeated"])
    return Result(
        frame, lambda _: plot_ack_batches(summary), provenance(broker), {"summary": summary}, scenes=scenes
    )


def _crash(broker: Broker, config: AckBatchesConfig, n: int) -> tuple[dict[str, Any], Scene]:
    load, ledger = config.load.again(), Ledger()
    done: list[int] = []
    TOPOLOGY.declare(broker)
    purge(broker, names.TASKS)
    publishing = ledger.publisher(identify=load.identify)
    with Publisher(broker, routing_key=names.TASKS, observer=publishing) as publisher:
        publish_load(publisher, load)

    def work(_: object, properties: Any, body: bytes) -> None:
        done.append(load.identify(properties, body))

    def work_or_crash(_: object, properties: Any, body: bytes) -> None:
        if len(done) == config.crash_at:
            raise Crash
        work(_, properties, body)

    def consume(name: str, work: Callable[[object, Any, bytes], None]) -> None:
        with Consumer(
            broker,
            names.TASKS,
            work,
            ack=ack_every(n),
            prefetch_count=config.prefetch_count,
            observer=ledger.consumer(name, identify=load.identify),
            name=name,
        ) as consumer:
            consumer.run(count=load.count - ledger.done, for_s=config.timeout_s)

    with contextlib.suppress(Crash):
        consume("first", work_or_crash)
    crash = Mark(time.perf_counter_ns(), "first crashes", "first")
    consume("second", work)
    if ledger.done < load.count:
        raise BrokerError(
            f"Only {ledger.done} of {load.count} messages were acknowledged within the time limit. "
            "Next: give fewer messages or a longer timeout_s"
        )
    report = Report.of(ledger)
    totals = report.account.totals()
    first = report.consumers().set_index("consumer").loc["first"]
    repeats = np.bincount([number for number in done if number >= 0])  # not somebody else's
    row = {
        "published": totals.published,
        "acked": totals.acked,
        "acked_msg_s": first["acked"] / first["busy_s"] if first["acked"] else float("nan"),
        "redelivered": totals.redelivered,
        "repeated": int((repeats > 1).sum()),
    }
    return row, Scene(ledger, dict.fromkeys(("first", "second"), names.TASKS), marks=[crash])
