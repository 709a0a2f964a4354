"""What confirms cost: how many messages a second, and how long until one is confirmed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rmqlab import names
from rmqlab.amqp import Confirms, Publisher, purge
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.figures import MEASURED, name_rows, new_figure
from rmqlab.measure import Ledger, Load, Report, provenance, publish_load
from rmqlab.measure._bar import bar_of
from rmqlab.view import Scene

MOST = 1_000_000  # messages; more than anybody publishes within the time


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmsConfig(Config):
    """What is published, and how publishers wait for confirms.

    Attributes:
        strategies: for each strategy's name, how its publisher waits for confirms.
        seconds: how long each publishes new messages.
        repeats: how often each strategy is run.
    """

    strategies: Mapping[str, Confirms]
    seconds: float = 0.3
    repeats: int = 2
    FULL: ClassVar = {"seconds": 2.0, "repeats": 10}


def measure_confirms(broker: Broker | str, config: ConfirmsConfig, *, progress: bool = True) -> Result:
    """Publish to `engine:tasks` as fast as each strategy allows, until all is confirmed.

    Messages have 256 bytes. Without confirms, a run lasts until the broker has read all of them.
    The queue is emptied before each run and in the end.

    Args:
        broker: a running broker, or an AMQP URL.
        config: what is published, and how.
        progress: whether to show a progress bar.

    Returns:
        One row a run: strategy (its name), repeat (from 0), published, confirmed,
        rate_msg_s (over the whole run), confirm_median_ms, confirm_p99_ms (from publishing to its
        confirm; NaN without confirms). The last run of each strategy is recorded.

    Raises:
        BrokerError: as `Publisher.publish`.
    """
    TOPOLOGY.declare(broker)
    runs = list(itertools.product(range(config.repeats), config.strategies.items()))
    rows, scenes = [], {}
    for repeat, (name, confirms) in bar_of(runs, "run", progress=progress):
        row, scenes[name] = _publish(broker, confirms, config.seconds)
        rows.append({"strategy": name, "repeat": repeat, **row})
    purge(broker, names.TASKS)
    environment = provenance(broker if isinstance(broker, Broker) else None)
    return Result(pd.DataFrame(rows), plot_confirm_cost, environment, scenes=scenes)


def _publish(broker: Broker | str, confirms: Confirms, seconds: float) -> tuple[dict[str, Any], Scene]:
    load = Load(MOST)
    ledger = Ledger()
    recorder = ledger.publisher(identify=load.identify)
    purge(broker, names.TASKS)
    with Publisher(broker, routing_key=names.TASKS, confirms=confirms, observer=recorder) as publisher:
        started_s = time.perf_counter()
        end_s = started_s + seconds
        publish_load(publisher, load, until=lambda: time.perf_counter() >= end_s)
        took_s = time.perf_counter() - started_s
    report = Report.of(ledger)
    latency = report.latency().set_index("latency").loc["confirm"]
    totals = report.account.totals()
    row = {
        "published": totals.published,
        "confirmed": totals.confirmed,
        "rate_msg_s": totals.published / took_s,
        "confirm_median_ms": latency["median_ms"],
        "confirm_p99_ms": latency["p99_ms"],
    }
    return row, Scene(ledger, {"nobody": names.TASKS})


def plot_confirm_cost(rows: pd.DataFrame) -> Figure:
    """Draw each strategy's throughput with the range of its repeats, and how long its confirms take."""
    by_strategy = rows.groupby("strategy", sort=False)
    rates = by_strategy["rate_msg_s"].agg(["median", "min", "max"])
    median_ms, high_ms = by_strategy["confirm_median_ms"].median(), by_strategy["confirm_p99_ms"].median()
    lanes = range(len(rates))
    with new_figure(1, 2) as (figure, (left, right)):
        spread = [rates["median"] - rates["min"], rates["max"] - rates["median"]]
        left.barh(lanes, rates["median"], xerr=spread, color=MEASURED, height=0.55, ecolor="0.3")
        for lane, (rate, high) in enumerate(zip(rates["median"], rates["max"], strict=True)):
            left.annotate(f"{rate:,.0f}", (high, lane), (6, 0), textcoords="offset points", va="center")
        left.set(xlabel="throughput (messages/s)", xlim=(0, rates["max"].max() * 1.35))
        asked, slowest = rates["median"].drop("none", errors="ignore"), rates["median"].idxmin()
        factor = asked.max() / rates["median"].min()
        left.set_title(f"{asked.idxmax()} is {factor:.0f} times as fast as {slowest}")
        left.xaxis.set_major_locator(MaxNLocator(4))
        left.xaxis.set_major_formatter("{x:,.0f}")
        right.hlines(lanes, median_ms, high_ms, color=MEASURED, lw=3)
        right.plot(median_ms, lanes, "o", color=MEASURED, ms=9)
        for lane in lanes:
            if median_ms.isna().iloc[lane]:
                right.text(median_ms.min(), lane, "no confirms", va="center", color="0.4")
        right.set(
            xscale="log", xlabel="from publishing to the confirm (ms):\nmedian, and to the 99th percentile"
        )
        right.set_xlim(median_ms.min() / 1.6, high_ms.max() * 1.6)
        right.set_title(f"A confirm takes {median_ms.min():.1f} to {median_ms.max():.0f} ms")
        right.xaxis.set_major_formatter("{x:g}")
        right.set_xticks([], minor=True)
        for axes in (left, right):
            name_rows(axes, list(rates.index))
    return figure
