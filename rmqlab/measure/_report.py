"""The cleanup frames that tell what happened in a run, by its ledger.

Words are those of RabbitMQ's PerfTest: published, confirmed, nacked, returned, received;
consumer latency and confirm latency with min, median, p75, p95, p99.

Source: https://perftest.rabbitmq.com
"""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rmqlab.broker import Broker
from rmqlab.measure._account import Account, Table
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._snapshots import ACKED, REJECTED, REQUEUED

if TYPE_CHECKING:
    import pandas as pd

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
PERCENTILES = {"min_ms": 0, "median_ms": 50, "p75_ms": 75, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
OUTCOME_WORDS = np.array([None, "requeued", "rejected", "acked"], dtype=object)


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


def jain_index(shares: Sequence[float] | npt.NDArray[Any]) -> float:
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


@dataclass(frozen=True, slots=True)
class Report:
    """Frames of what happened in one run.

    Each frame begins with the run's parameters and ends with its provenance, as columns.

    Attributes:
        account: the outcome of each message.
        parameters: what the run was made with, such as `{"prefetch": 10}`.
        provenance: where it was made, as `provenance(broker)` gives it.
    """

    account: Account
    parameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Ledger, broker: Broker | None = None, **parameters: Any) -> Report:
        """Report on a run.

        Args:
            ledger: what happened.
            broker: what it happened on; None leaves out its version.
            parameters: what the run was made with.

        Raises:
            LedgerError: two publishers have the same numbers.
        """
        return cls(ledger.account(), parameters, provenance(broker))

    def __repr__(self) -> str:
        return f"<Report on {len(self.account.messages)} messages>"

    def totals(self) -> pd.DataFrame:
        """Count what happened.

        Returns:
            One row: the counts of `Totals`; time_s, from the first publishing (or delivery)
            to the last event; published_msg_s, confirmed_msg_s, received_msg_s: each rate
            over the time from the first to the last event of its kind, and from the first
            publishing for confirms; NaN for fewer than two.
        """
        messages, deliveries = self.account.messages, self.account.deliveries
        published, confirmed = _known(messages["published_ns"]), _known(messages["confirmed_ns"])
        events = np.concatenate(
            [published, confirmed, deliveries["delivered_ns"], _known(deliveries["settled_ns"])]
        )
        row = dataclasses.asdict(self.account.totals()) | {
            "time_s": float(np.ptp(events)) / NS_PER_S if len(events) else 0.0,
            "published_msg_s": _rate_msg_s(published),
            "confirmed_msg_s": _rate_msg_s(confirmed, since_ns=published.min(initial=2**62)),
            "received_msg_s": _rate_msg_s(deliveries["delivered_ns"]),
        }
        return self._frame([row])

    def throughput(self, bin_s: float = 1.0) -> pd.DataFrame:
        """Show rates over time.

        Args:
            bin_s: width of a bin, in seconds.

        Returns:
            One row a bin and event: time_s (where the bin begins, from the run's first
            event), event (published, confirmed, received, acked, rejected or requeued, those
            that ever happened), messages, rate_msg_s. The last bin is as wide as the others,
            though the run may end within it.

        Raises:
            ValueError: `bin_s` is not above 0.
        """
        if not bin_s > 0:
            raise ValueError(f"bin_s is {bin_s}; it must be above 0")
        events = {name: times for name, times in self._times_ns().items() if len(times)}
        if not events:
            return self._frame([], columns=["time_s", "event", "messages", "rate_msg_s"])
        first_ns = min(int(times.min()) for times in events.values())
        places = {
            name: ((times - first_ns) / (bin_s * NS_PER_S)).astype(np.int64) for name, times in events.items()
        }
        bins = 1 + max(int(place.max()) for place in places.values())
        counts = np.concatenate([np.bincount(place, minlength=bins) for place in places.values()])
        return self._frame(
            {
                "time_s": np.tile(np.arange(bins) * bin_s, len(places)),
                "event": np.repeat(np.array(list(places), dtype=object), bins),
                "messages": counts,
                "rate_msg_s": counts / bin_s,
            }
        )

    def latency(self) -> pd.DataFrame:
        """Show how long messages take, in milliseconds.

        Returns:
            One row a kind: latency (`consumer`: from publishing to the first arrival at a
            consumer; `confirm`: from publishing to the broker's confirm), messages, min_ms,
            median_ms, p75_ms, p95_ms, p99_ms, max_ms. NaN where there is none.
        """
        messages = self.account.messages
        published_ns = messages["published_ns"]
        rows = []
        for name, field_name in (("consumer", "delivered_ns"), ("confirm", "confirmed_ns")):
            until_ns = messages[field_name]
            both = (published_ns > 0) & (until_ns > 0)
            times_ms = (until_ns[both] - published_ns[both]) / NS_PER_MS
            values = (
                np.percentile(times_ms, list(PERCENTILES.values()))
                if len(times_ms)
                else [float("nan")] * len(PERCENTILES)
            )
            rows.append(
                {
                    "latency": name,
                    "messages": len(times_ms),
                    **{column: float(value) for column, value in zip(PERCENTILES, values, strict=True)},
                }
            )
        return self._frame(rows)

    def deliveries(self) -> pd.DataFrame:
        """Show each delivery: who had which message in hand, and when, as for a Gantt chart.

        Returns:
            One row a delivery, in the order of their arrival: message (its number), consumer
            (name), delivery (which of this message's deliveries, from 1), redelivered
            (whether the broker flagged it), delivered_s, begun_s (when its consumer can have
            begun with it, if it works on one message at a time: when it arrived, or when all
            that the consumer had before was settled, if that is later), settled_s, outcome
            (both missing if it never was). Times are in seconds from the run's first event.
        """
        import pandas as pd

        deliveries, start_ns = self.account.deliveries, self._start_ns()
        settled_ns = deliveries["settled_ns"]
        return self._frame(
            {
                "message": deliveries["number"],
                "consumer": self._names(deliveries["consumer"]),
                "delivery": 1 + pd.Series(self.account.place).groupby(self.account.place).cumcount(),
                "redelivered": deliveries["redelivered"] > 0,
                "delivered_s": (deliveries["delivered_ns"] - start_ns) / NS_PER_S,
                "begun_s": (_begun_ns(deliveries) - start_ns) / NS_PER_S,
                "settled_s": np.where(settled_ns > 0, (settled_ns - start_ns) / NS_PER_S, np.nan),
                "outcome": OUTCOME_WORDS[deliveries["outcome"]],
            }
        )

    def consumers(self) -> pd.DataFrame:
        """Show what each consumer did.

        Returns:
            One row a consumer, also one that got nothing: consumer (name), received,
            redelivered (flagged), reordered, acked, rejected, requeued, unsettled
            (deliveries), share (its part of all that was acked or rejected), busy_s (with at
            least one message in hand: from its arrival until it was settled), utilization
            (busy_s as part of the time from anybody's first delivery to the last event of
            any; with a long prefetch, of a consumer that works on one message at a time).
        """
        deliveries, count = self.account.deliveries, len(self.account.consumers)
        who, outcome = deliveries["consumer"], deliveries["outcome"]

        def per_consumer(which: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
            return np.bincount(who[which], minlength=count)

        done = per_consumer(outcome >= REJECTED)
        busy_s = _busy_ns(deliveries, count) / NS_PER_S
        span_s = _span_ns(deliveries) / NS_PER_S
        return self._frame(
            {
                "consumer": np.array(self.account.consumers, dtype=object),
                "received": np.bincount(who, minlength=count),
                "redelivered": per_consumer(deliveries["redelivered"] > 0),
                "reordered": per_consumer(self.account.reordered),
                "acked": per_consumer(outcome == ACKED),
                "rejected": per_consumer(outcome == REJECTED),
                "requeued": per_consumer(outcome == REQUEUED),
                "unsettled": per_consumer(outcome == 0),
                "share": done / done.sum() if done.sum() else np.full(count, np.nan),
                "busy_s": busy_s,
                "utilization": busy_s / span_s if span_s else np.full(count, np.nan),
            }
        )

    def fairness(self) -> pd.DataFrame:
        """Show how evenly the messages were shared.

        Returns:
            One row: consumers (how many), jain (Jain's index of the messages that each
            acked or rejected), jain_busy (of the time that each was busy), smallest_share,
            largest_share, smallest_utilization, mean_utilization.
        """
        each = self.consumers()
        done = (each["acked"] + each["rejected"]).to_numpy()
        row = {
            "consumers": len(each),
            "jain": jain_index(done),
            "jain_busy": jain_index(each["busy_s"].to_numpy()),
            "smallest_share": float(each["share"].min()) if len(each) else float("nan"),
            "largest_share": float(each["share"].max()) if len(each) else float("nan"),
            "smallest_utilization": float(each["utilization"].min()) if len(each) else float("nan"),
            "mean_utilization": float(each["utilization"].mean()) if len(each) else float("nan"),
        }
        return self._frame([row])

    def _times_ns(self) -> dict[str, npt.NDArray[np.int64]]:
        messages, deliveries = self.account.messages, self.account.deliveries
        settled = {
            word: deliveries["settled_ns"][deliveries["outcome"] == code]
            for word, code in (("acked", ACKED), ("rejected", REJECTED), ("requeued", REQUEUED))
        }
        return {
            "published": _known(messages["published_ns"]),
            "confirmed": _known(messages["confirmed_ns"]),
            "received": deliveries["delivered_ns"],
            **settled,
        }

    def _start_ns(self) -> int:
        return min((int(times.min()) for times in self._times_ns().values() if len(times)), default=0)

    def _names(self, places: npt.NDArray[np.int16]) -> npt.NDArray[Any]:
        return np.array([*self.account.consumers, None], dtype=object)[places]  # -1 is the None

    def _frame(self, rows: Any, columns: list[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(rows, columns=columns)
        parameters = {name: value for name, value in self.parameters.items() if name not in frame}
        frame = frame.assign(**{name: value for name, value in self.provenance.items() if name not in frame})
        for place, (name, value) in enumerate(parameters.items()):
            frame.insert(place, name, value)
        return frame


def _known(times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return times_ns[times_ns > 0]


def _rate_msg_s(times_ns: npt.NDArray[np.int64], since_ns: int | None = None) -> float:
    """Return a rate from the first time, or an earlier one, to the last."""
    if len(times_ns) < 2:  # noqa: PLR2004
        return float("nan")
    first_ns = int(times_ns.min()) if since_ns is None else min(int(since_ns), int(times_ns.min()))
    span_ns = int(times_ns.max()) - first_ns
    return len(times_ns) / span_ns * NS_PER_S if span_ns else float("nan")


def _span_ns(deliveries: Table) -> int:
    if not len(deliveries):
        return 0
    last_ns = max(int(deliveries["delivered_ns"].max()), int(deliveries["settled_ns"].max()))
    return last_ns - int(deliveries["delivered_ns"].min())


def _begun_ns(deliveries: Table) -> npt.NDArray[np.int64]:
    """Return when each consumer can have begun with each delivery, one at a time in their order."""
    begun_ns = deliveries["delivered_ns"].copy()
    settled_ns = deliveries["settled_ns"]
    for consumer in np.unique(deliveries["consumer"]):
        mine = np.flatnonzero(deliveries["consumer"] == consumer)  # in the order of delivery
        before_ns = np.maximum.accumulate(settled_ns[mine])[:-1]
        begun_ns[mine[1:]] = np.maximum(begun_ns[mine[1:]], before_ns)
    # One that was settled before an earlier one was not begun after that.
    return np.where(settled_ns > 0, np.minimum(begun_ns, settled_ns), begun_ns)


def _busy_ns(deliveries: Table, consumers: int) -> npt.NDArray[np.int64]:
    """Return for each consumer how long it had something in hand that it settled in the end."""
    settled = deliveries[deliveries["settled_ns"] > 0]
    busy_ns = np.zeros(consumers, np.int64)
    np.add.at(busy_ns, settled["consumer"], settled["settled_ns"] - _begun_ns(settled))
    return busy_ns
