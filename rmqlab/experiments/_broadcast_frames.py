"""Who got which event: a broadcast's subscribers, and the tidy frames that tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rmqlab.measure._ledger import Ledger
from rmqlab.measure._report import NS_PER_MS, NS_PER_S, Report


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscriber of events in a run, and how it behaves.

    Attributes:
        name: its name in frames.
        queue: name of its durable queue; None for one of its own, which goes with its
            connection. Subscribers that share a name share the events.
        away: numbers of the events, from 0, that are published while it is not connected:
            `range(40)` comes late, `range(30, 70)` goes and comes back.
        work_s: how long it is busy with each event, in seconds.

    Raises:
        ValueError: a value is out of range.
    """

    name: str
    queue: str | None = None
    away: range = range(0)
    work_s: float = 0.0

    def __post_init__(self) -> None:
        it = f"Subscriber {self.name!r}"
        if self.queue == "":
            raise ValueError(f"{it}: queue is ''; give a name, or None for a queue of its own")
        if self.away.step != 1 or self.away.start < 0:
            raise ValueError(f"{it}: away is {self.away}; it goes in steps of 1, from 0 or later")
        if not 0 <= self.work_s < float("inf"):
            raise ValueError(f"{it}: work_s is {self.work_s}; it goes from 0")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Events, published once, and who received them.

    Attributes:
        subscribers: who received them; each is a consumer of the ledger, by its name.
        ledger: what happened; event number i is message i.
        provenance: where it was measured, as columns.
    """

    subscribers: tuple[Subscriber, ...]
    ledger: Ledger
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Broadcast of {self.ledger.published} events to {len(self.subscribers)} subscribers>"

    def events(self) -> pd.DataFrame:
        """Show the outcome of each event with each subscriber.

        Returns:
            One row a subscriber and event: subscriber, event (its number), away (whether it
            was published while the subscriber was), deliveries (0 is missed), published_s,
            delivered_s (first), handled_s (last) in seconds from the first publishing,
            latency_ms (from publishing to delivery). What never was is missing.
        """
        account = self.ledger.account()
        published_ns = account.messages["published_ns"]
        received = (
            Report(account)
            .deliveries()
            .groupby(["consumer", "message"])
            .agg(
                deliveries=("delivery", "size"),
                delivered_s=("delivered_s", "min"),
                handled_s=("settled_s", "max"),
            )
        )
        names, numbers = [one.name for one in self.subscribers], account.messages["number"]
        every = pd.MultiIndex.from_product([names, numbers], names=["subscriber", "event"])
        events = received.reindex(every).reset_index()
        away = {one.name: one.away for one in self.subscribers}
        events["away"] = [
            event in away[name] for name, event in zip(events["subscriber"], events["event"], strict=True)
        ]
        events["deliveries"] = events["deliveries"].fillna(0).astype(int)
        # A run's first event is its first publishing: the report's times count from there, too.
        published_s = (published_ns - published_ns.min(initial=2**62)) / NS_PER_S
        events["published_s"] = np.tile(published_s, len(names))
        events["latency_ms"] = (events["delivered_s"] - events["published_s"]) * 1000
        return events[
            [
                *("subscriber", "event", "away", "deliveries"),
                *("published_s", "delivered_s", "handled_s", "latency_ms"),
            ]
        ]

    def received(self) -> pd.DataFrame:
        """Count what each subscriber got.

        Returns:
            One row a subscriber: subscriber, queue (its name, or `its own`), published
            (events of the run), received (events delivered to it), missed (the others),
            latency_ms (median, from publishing to delivery).
        """
        events = self.events()
        by_name = events.groupby("subscriber", sort=False)
        received = events[events["deliveries"] > 0].groupby("subscriber", sort=False).size()
        frame = pd.DataFrame(
            {
                "queue": {one.name: one.queue or "its own" for one in self.subscribers},
                "published": by_name.size(),
                "received": received.reindex([one.name for one in self.subscribers], fill_value=0),
            }
        )
        frame["missed"] = frame["published"] - frame["received"]
        frame["latency_ms"] = by_name["latency_ms"].median()
        return frame.rename_axis("subscriber").reset_index()

    def backlog(self) -> pd.DataFrame:
        """Show how many events wait for each subscriber, or are in its hands.

        Returns:
            One row a change: subscriber, time_s (from the first publishing), backlog (events
            that were published to its queue, and that it has not handled yet).
        """
        parts = []
        for name, mine in self.events().query("deliveries > 0").groupby("subscriber", sort=False):
            changes = pd.concat(
                [
                    pd.Series(1, index=mine["published_s"]),
                    pd.Series(-1, index=mine["handled_s"].dropna()),
                ]
            ).sort_index(kind="stable")
            parts.append(
                pd.DataFrame(
                    {"subscriber": name, "time_s": changes.index, "backlog": changes.cumsum().to_numpy()}
                )
            )
        columns = ["subscriber", "time_s", "backlog"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def summary(self) -> pd.DataFrame:
        """Show the run in one row.

        Returns:
            subscribers (how many), published, received (deliveries to all of them), and
            medians over the events, in milliseconds from an event's publishing: confirm_ms
            (to the broker's confirm), first_ms and last_ms (to the first and to the last
            delivery of it); and where it was measured.
        """
        account = self.ledger.account()
        messages = account.messages
        confirmed = messages[messages["confirmed_ns"] > 0]
        latency_ms = self.events().groupby("event")["latency_ms"]
        row = {
            "subscribers": len(self.subscribers),
            "published": int(np.count_nonzero(messages["published_ns"])),
            "received": len(account.deliveries),
            "confirm_ms": _median((confirmed["confirmed_ns"] - confirmed["published_ns"]) / NS_PER_MS),
            "first_ms": latency_ms.min().median(),
            "last_ms": latency_ms.max().median(),
            **self.provenance,
        }
        return pd.DataFrame([row])


def _median(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
