"""What acknowledging many messages at once saves, and what it costs when a consumer crashes."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure

from rmqlab import names
from rmqlab.amqp import Consumer, Crash, Publisher, ack_every, purge
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.failing_work import crash_before
from rmqlab.figures import COLORS, MARKERS, MEASURED, label, name_ticks, new_figure
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


def measure_ack_batches(broker: Broker, config: AckBatchesConfig, *, progress: bool = True) -> Result:
    """Let a consumer crash during a load, and another one do the rest, for each batch size.

    The load waits in `engine:tasks`, which is emptied first. All sizes run once, then all of them
    again.

    Args:
        broker: a running broker.
        config: the batches.
        progress: whether to show a progress bar.

    Returns:
        One row a run: n (the batch size), repeat (from 0), published, acked, acked_msg_s (of the
        first consumer, from its first delivery to its last acknowledgement; NaN without one),
        redelivered (deliveries that the broker flagged), repeated (messages whose work was done
        twice). The last run of each size is recorded, under the size as a word.

    Raises:
        BrokerError: the connection was lost, or not all was done within the time limit.
    """
    runs = list(itertools.product(range(config.repeats), config.batches))
    rows, scenes = [], {}
    for repeat, n in bar_of(runs, "run", progress=progress):
        row, scenes[str(n)] = _crash(broker, config, n)
        rows.append({"n": n, "repeat": repeat, **row})
    return Result(pd.DataFrame(rows), plot_ack_batches, provenance(broker), scenes=scenes)


def _crash(broker: Broker, config: AckBatchesConfig, n: int) -> tuple[dict[str, Any], Scene]:
    load, ledger = config.load.again(), Ledger()
    done: list[int] = []
    TOPOLOGY.declare(broker)
    purge(broker, names.TASKS)
    publishing = ledger.publisher(identify=load.identify)
    with Publisher(broker, routing_key=names.TASKS, observer=publishing) as publisher:
        publish_load(publisher, load)

    def work(message: Sequence[Any]) -> None:
        done.append(load.identify(*message[1:]))

    def consume(name: str, work: Callable[[Sequence[Any]], object]) -> None:
        with Consumer(
            broker,
            names.TASKS,
            lambda *message: work(message),
            ack=ack_every(n),
            prefetch_count=config.prefetch_count,
            observer=ledger.consumer(name, identify=load.identify),
            name=name,
        ) as consumer:
            consumer.run(count=load.count - ledger.done, for_s=config.timeout_s)

    with contextlib.suppress(Crash):
        consume("first", crash_before(work, config.crash_at + 1))
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
    row = {
        "published": totals.published,
        "acked": totals.acked,
        "acked_msg_s": first["acked"] / first["busy_s"] if first["acked"] else float("nan"),
        "redelivered": totals.redelivered,
        "repeated": sum(times > 1 for times in Counter(done).values()),
    }
    return row, Scene(ledger, dict.fromkeys(("first", "second"), names.TASKS), marks=[crash])


def plot_ack_batches(rows: pd.DataFrame) -> Figure:
    """Draw throughput, and what a crash repeats, against how many messages are acknowledged at once."""
    batches = summarize_repeats(rows, "n", ["acked_msg_s", "repeated"])
    sizes, rates, repeated = batches["n"], batches["acked_msg_s"], batches["repeated"]
    with new_figure(1, 2) as (figure, (left, right)):
        left.fill_between(
            sizes, batches["acked_msg_s_low"], batches["acked_msg_s_high"], color=MEASURED, alpha=0.15
        )
        left.plot(sizes, rates, marker=MARKERS[0], color=MEASURED)
        left.set(ylabel="throughput (msg/s)", ylim=(0, None))
        left.yaxis.set_major_formatter("{x:,.0f}")
        left.set_title(f"The gain: up to {rates.max() / rates.iloc[0]:.1f} times the rate")
        # A logarithmic axis has no place for none.
        right.plot(sizes[repeated > 0], repeated[repeated > 0], marker=MARKERS[1], color=COLORS[1])
        right.set(yscale="log", ylabel="messages done twice after a crash")
        right.set_ylim(0.5, max(repeated.max(), 1) * 4)
        right.yaxis.set_major_formatter("{x:,g}")
        for size, count in zip(sizes, repeated, strict=True):
            text, at = (f"{count:,.0f}", count) if count else ("none", 0.55)
            label(right, text, size, at, COLORS[1], offset=(-7, 4) if count else (7, 4))
        right.set_title(f"The price: up to {repeated.max():,.0f} are done twice")
        for axes in (left, right):
            name_ticks(axes, sizes)
            axes.set_xlabel("messages per acknowledgement (n)")
    return figure
