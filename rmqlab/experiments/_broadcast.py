"""Publish events to subscribers that come, go and take their time, and record who got which."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from rmqlab.amqp import Queue, Topology
from rmqlab.broker import Broker
from rmqlab.closing import Closing
from rmqlab.engine import EngineAPI, Event, EventSubscriber
from rmqlab.errors import BrokerError
from rmqlab.experiments._pool import WorkerPool
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._report import NS_PER_MS, NS_PER_S, Report, provenance

if TYPE_CHECKING:
    import pandas as pd

LOOK_EVERY_S = 0.002
LONGEST_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who is told of events in a run, and how it behaves.

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
    """Events, told once to some subscribers.

    Attributes:
        subscribers: who was told; each is a consumer of the ledger, by its name.
        ledger: what happened; event number i is message i.
        provenance: where it was measured, as columns.
    """

    subscribers: tuple[Subscriber, ...]
    ledger: Ledger
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Broadcast of {self.ledger.published} events to {len(self.subscribers)} subscribers>"

    def events(self) -> pd.DataFrame:
        """Show what became of each event with each subscriber.

        Returns:
            One row a subscriber and event: subscriber, event (its number), away (whether it
            was published while the subscriber was), deliveries (0 is missed), published_s,
            delivered_s (first), handled_s (last) in seconds from the first publishing,
            latency_ms (from publishing to delivery). What never was is missing.
        """
        import pandas as pd

        account = self.ledger.account()
        published_ns = account.messages["published_ns"]
        told = (
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
        events = told.reindex(every).reset_index()
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
        import pandas as pd

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
        import pandas as pd

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
        import pandas as pd

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


def run_broadcast(
    broker: Broker,
    events: Sequence[Event],
    *,
    subscribers: int | Sequence[Subscriber],
    rate_msg_s: float | None = None,
    prefetch_count: int = 1,
    time_limit_s: float = 60,
    progress: bool = True,
) -> Broadcast:
    """Publish events to `engine:events` while subscribers listen, each in a thread.

    Each subscriber has a connection of its own. A subscriber leaves only when it has handled
    what was published to it so far, and the next event waits until those who come are there:
    so what each gets does not depend on the machine's speed. All are there in the end, and the
    run is over when everyone has handled what its queue held for it. Durable queues are
    deleted before the run, and after it.

    Args:
        broker: a running broker.
        events: what is published, in this order.
        subscribers: who listens; a number stands for so many with queues of their own.
        rate_msg_s: events per second; None publishes one when everyone present has handled
            the one before.
        prefetch_count: how many unacknowledged events a subscriber is handed at a time; 0 is
            no limit. With 1, what waits for it waits in its queue.
        time_limit_s: give up after this many seconds.
        progress: whether to show a progress bar.

    Raises:
        BrokerError: a subscriber failed, or the time limit passed before all was handled.
        TopologyMismatchError: the broker has an exchange of the same name with another type.
        ValueError: an argument is out of range, or two subscribers have the same name.
    """
    if isinstance(subscribers, int):
        subscribers = [Subscriber(f"subscriber-{number + 1}") for number in range(subscribers)]
    names = [each.name for each in subscribers]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"subscribers is {names}; it has one at least, and each name once")
    if not events:
        raise ValueError("events is empty; a run needs one at least")
    for each in subscribers:
        if each.away.stop > len(events):
            raise ValueError(
                f"Subscriber {each.name!r}: away is {each.away}, of {len(events)} events; it comes back "
                "after the last one at latest"
            )
    if rate_msg_s is not None and not 0 < rate_msg_s < float("inf"):
        raise ValueError(f"rate_msg_s is {rate_msg_s}; it must be above 0")
    ledger = Ledger()
    publisher = ledger.publisher("engine-api", identify=by_message_id)
    with (
        _Audience(broker, subscribers, ledger, prefetch_count) as audience,
        EngineAPI(broker, observer=publisher) as api,
        _Wait(api, audience, len(events), time_limit_s, progress) as wait,
    ):
        started_s = time.perf_counter()
        for number, event in enumerate(events):
            for place in audience.leaving(number):
                wait.until_handled([place])
                audience.leave(place)
            audience.come(number)
            if rate_msg_s is not None:
                wait.until_s(started_s + number / rate_msg_s)
            api.publish_event(event, message_id=str(number))
            audience.expect()
            if rate_msg_s is None:
                wait.until_handled()
        audience.come(len(events))
        wait.until_handled()
    return Broadcast(tuple(subscribers), ledger, provenance(broker))


class _Audience(Closing):
    """The subscribers of a run: who is there, and what each has still to handle."""

    def __init__(
        self, broker: Broker, subscribers: Sequence[Subscriber], ledger: Ledger, prefetch_count: int
    ) -> None:
        self._broker = broker
        self._subscribers = subscribers
        self._prefetch_count = prefetch_count
        self._recorders = [ledger.consumer(each.name, identify=by_message_id) for each in subscribers]
        # A queue of one's own has its subscriber's place for a key, as it has no name yet.
        self._keys: list[str | int] = [each.queue or place for place, each in enumerate(subscribers)]
        self._expected = dict.fromkeys(self._keys, 0)  # events published to each queue so far
        self._queues: set[str | int] = set()  # those that there are
        self._there: dict[int, tuple[WorkerPool, contextlib.ExitStack]] = {}
        self._stack = contextlib.ExitStack()

        self._delete_durable_queues()
        self._stack.callback(self._delete_durable_queues)

    def close(self) -> None:
        """Let all go, and delete their durable queues."""
        self._stack.close()

    def __len__(self) -> int:
        return len(self._subscribers)

    def deliveries(self, events: int) -> int:
        """Count how many deliveries there will be of so many events."""
        since: dict[str | int, int] = {}  # when each queue is made
        for key, each in zip(self._keys, self._subscribers, strict=True):
            since[key] = min(since.get(key, events), 0 if each.away.start else len(each.away))
        away = sum(len(each.away) for each in self._subscribers if not each.queue and each.away.start)
        return sum(events - begin for begin in since.values()) - away

    @property
    def handled(self) -> int:
        """How many deliveries are settled so far."""
        return sum(recorder.settled_count for recorder in self._recorders)

    def pending(self, places: Sequence[int] | None = None) -> int:
        """Count what is in the queues of those who are there, or in their hands.

        Args:
            places: of these subscribers only; None is all.
        """
        keys = {self._keys[place] for place in (self._there if places is None else places)}
        expected = sum(self._expected[key] for key in keys)
        return expected - sum(
            recorder.settled_count
            for key, recorder in zip(self._keys, self._recorders, strict=True)
            if key in keys
        )

    def leaving(self, number: int) -> list[int]:
        """List who is there, and is to be away when this event is published."""
        return [place for place in self._there if number in self._subscribers[place].away]

    def leave(self, place: int) -> None:
        """Let a subscriber close its connection; a queue of its own goes with that."""
        _, stack = self._there.pop(place)
        stack.close()
        self._queues.discard(place)

    def come(self, number: int) -> None:
        """Let those connect who are to be there when this event is published."""
        for place, subscriber in enumerate(self._subscribers):
            if place in self._there or number in subscriber.away:
                continue
            stack = self._stack.enter_context(contextlib.ExitStack())
            crew = stack.enter_context(WorkerPool(1, partial(self._make_worker, place)))
            crew.begin()
            self._there[place] = crew, stack
            self._queues.add(self._keys[place])

    def expect(self) -> None:
        """Note that an event was published."""
        for key in self._queues:
            self._expected[key] += 1

    def check(self) -> None:
        """Raise what ended a subscriber, if one has ended."""
        for crew, _ in self._there.values():
            crew.check()

    def _delete_durable_queues(self) -> None:
        named = dict.fromkeys(each.queue for each in self._subscribers if each.queue)
        Topology(queues=tuple(Queue(name=name) for name in named)).delete(self._broker)

    def _make_worker(self, place: int, _: int) -> EventSubscriber:
        subscriber = self._subscribers[place]
        return EventSubscriber(
            self._broker,
            lambda _: time.sleep(subscriber.work_s) if subscriber.work_s else None,
            name=subscriber.name,
            queue=subscriber.queue,
            prefetch_count=self._prefetch_count,
            observer=self._recorders[place],
        )


class _Wait(Closing):
    """Lets time pass in a run, while connections are kept alive and failures are seen."""

    def __init__(
        self, api: EngineAPI, audience: _Audience, events: int, time_limit_s: float, show: bool
    ) -> None:
        self._api = api
        self._audience = audience
        self._time_limit_s = time_limit_s
        self._deadline_s = time.monotonic() + time_limit_s
        self._bar = tqdm(
            total=audience.deliveries(events),
            desc=f"{len(audience):>2} subscriber{'s' if len(audience) > 1 else ''}",
            unit="event",
            file=sys.stdout,  # JupyterLab paints standard error like a warning
            disable=not show,
        )

    def close(self) -> None:
        """Show how far it came."""
        self._bar.update(self._audience.handled - self._bar.n)
        self._bar.close()

    def until_handled(self, places: Sequence[int] | None = None) -> None:
        """Wait until all who are there, or these, have handled what is in their queues."""
        while self._audience.pending(places):
            self._look()
            self._api.wait(LOOK_EVERY_S)

    def until_s(self, due_s: float) -> None:
        """Wait until the clock says so."""
        while (left_s := due_s - time.perf_counter()) > 0:
            self._look()
            self._api.wait(min(left_s, LONGEST_WAIT_S))

    def _look(self) -> None:
        handled = self._audience.handled
        self._bar.update(handled - self._bar.n)
        self._audience.check()
        if time.monotonic() > self._deadline_s:
            raise BrokerError(
                f"Only {handled} of {self._bar.total} events were handled within {self._time_limit_s:g} s. "
                "Next: give less work, fewer events or a longer time_limit_s"
            )


def _median(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
