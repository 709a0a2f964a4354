"""Tidy frames of what happened in a run, from its ledger.

Words are those of RabbitMQ's PerfTest: published, confirmed, nacked, returned, received;
consumer latency and confirm latency with min, median, p75, p95, p99.

Source: https://perftest.rabbitmq.com
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil

from rmqlab.broker import Broker
from rmqlab.measure._account import Account
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._recorders import ACKED, REJECTED, REQUEUED

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
QUANTILES = {"min_ms": 0, "median_ms": 0.5, "p75_ms": 0.75, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1}
# What a core does when it is not idle. `guest` is left out: it is in `user` already.
BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")


def provenance(broker: Broker | None = None) -> dict[str, Any]:
    """Return where something was measured.

    Args:
        broker: what it was measured with; None leaves out its version.

    Returns:
        rabbitmq, pika, python (versions), cores (of this machine).
    """
    return {
        **({"rabbitmq": broker.version} if broker else {}),
        "pika": version("pika"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def busy_core_s() -> float:
    """Return how long the machine's cores have been busy since it started, in core-seconds.

    The difference of two calls is what all programs together spent between them: broker, workers,
    and everything else. In a container, the cores are those of the machine around it.
    """
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in BUSY))


def jain_index(shares: npt.ArrayLike) -> float:
    """Return Jain's index of fairness: 1 if all have the same, 1/n if one of n has everything.

    Args:
        shares: what each has, in any unit.

    Returns:
        The index; NaN if nobody has anything.

    Source: https://arxiv.org/abs/cs/9809099
    """
    values = np.asarray(shares, np.float64)
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (len(values) * squares) if squares else float("nan")


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Frames of what happened in one run.

    Each name means one thing in all frames, of reports and of experiments:

    - `published`, `confirmed`, `nacked`, `returned`, `acked`, `redelivered` and so on: counts, as
      `Totals` defines them; `received` counts deliveries.
    - `rate_msg_s`: messages per second, from when the measured work could begin until the last
      message was done. Where frames have bins, within a bin.
    - `makespan_s`: this time, from the beginning to the last message.
    - `lag_ms`: from when a message was due to when it was published.
    - `wait_ms`: from when a message was published, or its consumer began if that was later, to its
      first delivery.
    - `work_ms`: from a message's first delivery to when it was settled.
    - `busy_s`: how long a consumer had at least one message that it settled in the end.
    - `utilization`: `busy_s` as part of the time in which there was work; `idle_share`: 1 minus the mean.
    - `jain`, `jain_busy`: Jain's index of what each consumer acked or rejected, and of `busy_s`.

    Attributes:
        account: the outcome of each message.
    """

    account: Account

    @classmethod
    def of(cls, ledger: Ledger) -> Report:
        """Report on what a ledger has seen so far."""
        return cls(ledger.account())

    def throughput(self, bin_s: float = 1.0) -> pd.DataFrame:
        """Return rates over time.

        Args:
            bin_s: width of a bin, in seconds.

        Returns:
            One row a bin and event: time_s (where the bin begins, from the run's first publishing),
            event (published, confirmed, received), messages, rate_msg_s. The last bin is as wide as
            the others, though the run may end within it.
        """
        messages = self.account.messages
        times_ns = {
            "published": messages["published_ns"],
            "confirmed": messages["confirmed_ns"][messages["confirmed_ns"] > 0],
            "received": self.account.deliveries["delivered_ns"],
        }
        start_ns, bin_ns = self._start_ns(), bin_s * NS_PER_S
        places = {name: np.asarray((times - start_ns) / bin_ns, np.int64) for name, times in times_ns.items()}
        bins = 1 + max(int(place.max(initial=-1)) for place in places.values())
        counts = [np.bincount(place, minlength=bins) for place in places.values()]
        frame = pd.DataFrame(
            {
                "time_s": np.tile(np.arange(bins) * bin_s, len(places)),
                "event": np.repeat(np.array(list(places), dtype=object), bins),
                "messages": np.concatenate(counts),
            }
        )
        return frame.assign(rate_msg_s=frame["messages"] / bin_s)

    def latency(self) -> pd.DataFrame:
        """Return how long messages take, in milliseconds.

        Returns:
            One row a kind: latency (`consumer`: from publishing to the first arrival at a
            consumer; `confirm`: from publishing to the broker's confirm), messages, min_ms,
            median_ms, p75_ms, p95_ms, p99_ms, max_ms. NaN where there is none.
        """
        messages = self.account.messages
        until_ns = pd.DataFrame({"consumer": messages["delivered_ns"], "confirm": messages["confirmed_ns"]})
        times_ms = until_ns.where(until_ns > 0).sub(messages["published_ns"], axis=0) / NS_PER_MS
        frame = times_ms.quantile(list(QUANTILES.values())).set_axis(list(QUANTILES)).T
        frame.insert(0, "messages", times_ms.count())
        return frame.rename_axis("latency").reset_index()

    def deliveries(self) -> pd.DataFrame:
        """Return each delivery: which consumer had which message, and when, as for a Gantt chart.

        Returns:
            One row a delivery, in the order of their arrival: message (its number), consumer
            (name), delivered_s, begun_s (when its consumer can have begun with it, if it works
            on one message at a time: when it arrived, or when all that the consumer had before
            was settled, if that is later), settled_s (missing if it never was). Times are in
            seconds from the run's first publishing.
        """
        deliveries, start_ns = self.account.deliveries, self._start_ns()
        settled_ns = deliveries["settled_ns"]
        return pd.DataFrame(
            {
                "message": deliveries["number"],
                "consumer": np.array(self.account.consumers, dtype=object)[deliveries["consumer"]],
                "delivered_s": (deliveries["delivered_ns"] - start_ns) / NS_PER_S,
                "begun_s": (_begun_ns(deliveries) - start_ns) / NS_PER_S,
                "settled_s": np.where(settled_ns > 0, (settled_ns - start_ns) / NS_PER_S, np.nan),
            }
        )

    def consumers(self) -> pd.DataFrame:
        """Return what each consumer did.

        Returns:
            One row a consumer, also one that got nothing: consumer (name), received, redelivered
            (flagged), acked, rejected (deliveries), busy_s, utilization (busy_s as part of the time
            from anybody's first delivery to the last event of any).
        """
        deliveries = self.account.deliveries
        settled = deliveries[deliveries["settled_ns"] > 0]
        times_ns = pd.concat([deliveries["delivered_ns"], settled["settled_ns"]])
        span_s = (times_ns.max() - times_ns.min()) / NS_PER_S  # NaN if there are none
        # A consumer is busy with what it settled in the end.
        busy_ns = (settled["settled_ns"] - _begun_ns(settled)).reindex(deliveries.index, fill_value=0)
        each = pd.DataFrame(
            {
                "received": 1,
                "redelivered": deliveries["redelivered"] > 0,
                "acked": deliveries["outcome"] == ACKED,
                "rejected": deliveries["outcome"] == REJECTED,
                "busy_s": busy_ns / NS_PER_S,
            }
        )
        names = pd.RangeIndex(len(self.account.consumers))
        each = each.groupby(deliveries["consumer"]).sum().reindex(names, fill_value=0)
        each.insert(0, "consumer", np.array(self.account.consumers, dtype=object))
        return each.assign(utilization=(each["busy_s"] / span_s).clip(upper=1))

    def _start_ns(self) -> int:
        published_ns = self.account.messages["published_ns"]
        return int(published_ns[0]) if len(published_ns) else 0


def summarize_repeats(frame: pd.DataFrame, by: str | list[str], values: Sequence[str]) -> pd.DataFrame:
    """Return, of runs that were repeated, the median and the spread.

    Args:
        frame: one row a run.
        by: the column, or columns, that runs have in common if they are repeats.
        values: the columns to summarize; runs without a value there are left out.

    Returns:
        One row for each combination of `by`: these, runs (how many had a value of the first), and for
        each value its median under its own name, its smallest as `…_low` and its largest as `…_high`.

    Raises:
        KeyError: there is no such column.
    """
    ways = {"": "median", "_low": "min", "_high": "max"}
    columns = {f"{value}{end}": (value, way) for value in values for end, way in ways.items()}
    return frame.groupby(by, sort=False).agg(runs=(values[0], "count"), **columns).reset_index()


def held(account: Account, queues: Sequence[int] | None = None) -> pd.DataFrame:
    """Return how long each delivery kept its message from its queue.

    A message that is delivered again was in its queue just before. When it came back there after its
    consumer was lost, the broker does not say: it counts as held until its next delivery.

    Args:
        account: the outcome of each message of a run.
        queues: for each of the account's consumers the number of its queue; None is one for all.

    Returns:
        One row a delivery, those of a message together and in the order of time: the fields of the
        account's deliveries, queue, until_ns (when it was settled or came back; 0 is never), came_back
        (whether its consumer lost it), requeued (whether it came back, for whatever reason).
    """
    places = np.zeros(len(account.consumers), np.int64) if queues is None else np.asarray(queues, np.int64)
    deliveries = account.deliveries.assign(queue=places[account.deliveries["consumer"]])
    deliveries = deliveries.sort_values(["number", "queue"], kind="stable", ignore_index=True)
    next_ns = deliveries.groupby(["number", "queue"])["delivered_ns"].shift(-1, fill_value=0)
    settled_ns = deliveries["settled_ns"]
    came_back = (next_ns > 0) & ((settled_ns == 0) | (settled_ns > next_ns))
    return deliveries.assign(
        until_ns=settled_ns.where(~came_back, next_ns),
        came_back=came_back,
        requeued=came_back | (deliveries["outcome"] == REQUEUED),
    )


def _begun_ns(deliveries: pd.DataFrame) -> pd.Series:
    """Return when each consumer can have begun with each delivery, one at a time in their order."""
    settled_ns, consumer = deliveries["settled_ns"], deliveries["consumer"]
    before_ns = settled_ns.groupby(consumer).cummax().groupby(consumer).shift(fill_value=0)
    begun_ns = deliveries["delivered_ns"].clip(lower=before_ns)
    # One that was settled before an earlier one was not begun after that.
    return begun_ns.where(settled_ns == 0, begun_ns.clip(upper=settled_ns))
