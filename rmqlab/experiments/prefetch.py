"""How fast one consumer gets its messages, by prefetch and distance from the broker."""

from __future__ import annotations

import contextlib
import itertools
import time
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure

from rmqlab import names
from rmqlab.amqp import Consumer, Publisher, ack_each, connect, purge
from rmqlab.broker import Broker, Link
from rmqlab.engine import TOPOLOGY
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.figures import COLORS, MARKERS, label, name_ticks, new_figure
from rmqlab.measure import ConstantDuration, Ledger, Load, Report, provenance, publish_load
from rmqlab.measure._bar import bar_of
from rmqlab.view import Scene

IDLE_S = 5.0
DELAY_COLORS = (COLORS[0], COLORS[1], COLORS[5])


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchConfig(Config):
    """What is consumed, with which prefetches, and from how far.

    Attributes:
        load: the messages and how long their work takes.
        prefetches: how many unacknowledged messages the broker hands out at a time; 0 is no limit.
        delays_ms: of the link between broker and consumer, one way, in milliseconds.
        repeats: how often each prefetch is tried with each delay.
    """

    load: Load = field(default_factory=lambda: Load(120, durations=ConstantDuration(0.001)))
    prefetches: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 1000)
    delays_ms: Sequence[float] = (0, 2.5)
    repeats: int = 1
    FULL: ClassVar = {"load": Load(600, durations=ConstantDuration(0.001)), "repeats": 5}


def round_trip_ms(broker: Broker | Link | str) -> float:
    """Measure how long a question to the broker and its answer are on their way.

    Args:
        broker: a broker of `start_broker`, a link to one, or an AMQP URL.

    Returns:
        The shortest time of several, in milliseconds; each question is a `basic_qos`, which the
        broker answers at once.

    Raises:
        BrokerUnavailableError: no connection could be opened.
    """
    with contextlib.closing(connect(broker.url if isinstance(broker, Link) else broker)) as connection:
        channel = connection.channel()
        return 1000 * min(timeit.repeat(lambda: channel.basic_qos(prefetch_count=1), number=1, repeat=20))


def consume_load(broker: Broker, config: PrefetchConfig, *, progress: bool = True) -> Result:
    """Let one consumer work off a load, once with each prefetch over each distance.

    Each time `engine:tasks` is emptied, and filled before the consumer begins. The consumer
    acknowledges each message after its work, which is to wait for as long as the load says.

    Args:
        broker: a running broker; the load is published to it without a delay.
        config: what is consumed, and how.
        progress: whether to show a progress bar.

    Returns:
        One row a run: delay_ms, prefetch, repeat (from 0), task_ms (mean time of a message's
        work), published, acked, redelivered, rate_msg_s (acknowledged messages over the time
        from the first delivery to the last acknowledgement), idle_share (part of that time
        without a message in hand). The last run of each is recorded, as in `prefetch 10, 2.5 ms`.

    Raises:
        BrokerError: the broker is gone.
    """
    TOPOLOGY.declare(broker)
    rows, scenes = [], {}
    runs = list(itertools.product(range(config.repeats), config.delays_ms, config.prefetches))
    for repeat, delay_ms, prefetch in bar_of(runs, "run", progress=progress):
        with Link(broker, delay_ms=delay_ms) as link:
            measured, scene = _consume(broker, link, config.load.again(), prefetch)
        scenes[f"prefetch {prefetch}, {delay_ms:g} ms"] = scene
        rows.append({"delay_ms": delay_ms, "prefetch": prefetch, "repeat": repeat, **measured})
    return Result(pd.DataFrame(rows), plot_rates, provenance(broker), scenes=scenes)


def _consume(broker: Broker, link: Link, load: Load, prefetch_count: int) -> tuple[dict[str, Any], Scene]:
    durations_s = load.durations_s()
    ledger = Ledger()
    purge(broker, names.TASKS)
    publishing = ledger.publisher(identify=load.identify)
    with Publisher(broker, routing_key=names.TASKS, observer=publishing) as publisher:
        publish_load(publisher, load)

    def work(_: object, properties: Any, body: bytes) -> None:
        number = load.identify(properties, body)
        if number >= 0:  # not somebody else's
            time.sleep(durations_s[number])

    with Consumer(
        link.url,
        names.TASKS,
        work,
        ack=ack_each(),
        prefetch_count=prefetch_count,
        observer=ledger.consumer(identify=load.identify),
    ) as consumer:
        consumer.run(count=load.count, idle_s=IDLE_S)
    account = ledger.account()
    totals, deliveries = account.totals(), account.deliveries
    span_s = float(deliveries["settled_ns"].max() - deliveries["delivered_ns"].min()) / 1e9
    row = {
        "task_ms": load.work_s / load.count * 1000,
        "published": totals.published,
        "acked": totals.acked,
        "redelivered": totals.redelivered,
        "rate_msg_s": totals.acked / span_s,
        "idle_share": 1 - Report(account).consumers()["utilization"].mean(),
    }
    return row, Scene(ledger, {"consumer": names.TASKS})


def plot_rates(rows: pd.DataFrame) -> Figure:
    """Draw the throughput against the prefetch, one line for each distance from the broker."""
    factors = []
    with new_figure(1, 1) as (figure, (axes,)):
        for number, (delay_ms, runs) in enumerate(rows.groupby("delay_ms")):
            rate = runs.groupby("prefetch")["rate_msg_s"].median()
            color = DELAY_COLORS[number % len(DELAY_COLORS)]
            axes.plot(rate.index, rate, marker=MARKERS[number + 1], color=color)
            name = "on loopback" if delay_ms == 0 else f"{delay_ms:g} ms away"
            second = min(1, len(rate) - 1)
            label(axes, name, float(rate.index[second]), rate.iloc[second], color, offset=(9, -15))
            factors.append(rate.max() / rate.iloc[0])
        axes.set_title(
            f"More prefetch makes the distant consumer {factors[-1]:.0f} times as fast, "
            f"the near one {factors[0]:.1f} times"
        )
        axes.set(ylabel="throughput (messages/s)", ylim=(0, rows["rate_msg_s"].max() * 1.15))
        name_ticks(axes, rows["prefetch"])
        axes.set_xlabel("prefetch")
    return figure
