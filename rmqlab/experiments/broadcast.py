"""Publish events to subscribers that come, go and take their time: who gets which, and how soon."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from rmqlab.amqp import Queue, Topology
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, Event, EventSubscriber
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.experiments.broadcast_figures import plot_attendance, plot_backlog, plot_spread
from rmqlab.measure import Ledger, Report, by_message_id, provenance
from rmqlab.measure._bar import bar_of
from rmqlab.names import EVENTS
from rmqlab.view import Mark, Scene

LOOK_EVERY_S = 0.002
RUN = ["subscribers", "repeat"]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscriber of events, and how it behaves.

    Attributes:
        name: its name in frames.
        queue: name of its durable queue. None is a queue of its own, which goes with its
            connection. Subscribers with the same queue share the events.
        away: numbers of the events, from 0, that are published while it is not connected:
            `range(40)` comes late, `range(30, 70)` goes and comes back.
        work_s: how long it is busy with each event, in seconds.
    """

    name: str
    queue: str | None = None
    away: range = range(0)
    work_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastConfig(Config):
    """Which events are published, and to whom.

    Attributes:
        events: what each run publishes, in this order.
        subscribers: who listens. Or numbers of subscribers: there is a run for each number.
        rate_msg_s: events per second. None publishes an event when everyone present has handled
            the one before.
        repeats: how often all is run.
        timeout_s: give up a run after so many seconds.

    Raises:
        ValueError: there is no subscriber, or two have the same name.
    """

    events: Sequence[Event]
    subscribers: Sequence[Subscriber | int]
    rate_msg_s: float | None = None
    repeats: int = 1
    timeout_s: float = 60

    def __post_init__(self) -> None:
        for audience in self.audiences():
            names = [each.name for each in audience]
            if len(set(names)) < max(len(names), 1):
                raise ValueError(f"subscribers is {names}; it has one at least, and each name once")

    def audiences(self) -> list[list[Subscriber]]:
        """Return the subscribers of each run."""
        counts = [each for each in self.subscribers if isinstance(each, int)]
        named = [each for each in self.subscribers if isinstance(each, Subscriber)]
        made_up = [[Subscriber(f"subscriber-{number + 1}") for number in range(count)] for count in counts]
        return made_up or [named]


def run_broadcast(broker: Broker, config: BroadcastConfig, *, progress: bool = True) -> Result:
    """Publish events to `engine:events` while subscribers listen, each in a thread.

    Each subscriber has a connection of its own. It leaves only when it has handled what was
    published to it so far, and the next event waits until those who come are there. So what each
    gets does not depend on the machine's speed. All are there in the end, and a run is over when
    everyone has handled what its queue held for it. Durable queues are deleted before and after.

    Args:
        broker: a running broker.
        config: what is published, and to whom.
        progress: whether to show a progress bar.

    Returns:
        One row a run, subscriber and event: subscribers (how many), repeat (from 0), subscriber,
        queue (its name, or `its own`), event (its number), away (whether it was published while
        the subscriber was), deliveries (0 is missed), published_s, delivered_s (first), handled_s
        (last) in seconds from the first publishing, latency_ms (from publishing to delivery).
        Further frames:

        - received, a row a run and subscriber: published, received, missed, latency_ms (median)
        - backlog, a row a change: time_s, backlog (events published to the subscriber that it has
          not handled yet)
        - runs, a row a run: received (deliveries), first_ms and last_ms (medians, from publishing
          to the first and to the last delivery of an event)

        Of runs with the same number of subscribers, the last one is recorded, as in `5 subscribers`.

        Figures: who received what, and `backlog`, both of a single run; and `spread`, of several.

    Raises:
        BrokerError: a subscriber failed, or the time limit passed before all was handled.
        TopologyMismatchError: the broker has an exchange of the same name with another type.
    """
    runs = list(itertools.product(range(config.repeats), config.audiences()))
    outcomes, scenes = [], {}
    with bar_of(range(len(runs) * len(config.events)), "event", progress=progress) as bar:
        for repeat, subscribers in runs:
            scene = scenes[f"{len(subscribers)} subscribers"] = _publish(
                broker, subscribers, config, bar.update
            )
            outcomes.append(outcome_of_events(scene.ledger, subscribers, repeat))
    return broadcast_result(pd.concat(outcomes, ignore_index=True), provenance(broker), scenes)


def _publish(
    broker: Broker, subscribers: Sequence[Subscriber], config: BroadcastConfig, update: Callable[[], object]
) -> Scene:
    """Publish all events once, and return what happened to them."""
    ledger = Ledger()
    publisher = ledger.publisher(identify=by_message_id)
    deadline_s = time.monotonic() + config.timeout_s
    with _Audience(broker, subscribers, ledger) as audience, EngineAPI(broker, observer=publisher) as api:

        def wait_until(is_so: Callable[[], bool]) -> None:
            while not is_so():
                if time.monotonic() > deadline_s:
                    raise BrokerError(
                        f"Not all events were handled within {config.timeout_s:g} s. "
                        "Next: give less work, fewer events or a longer timeout_s"
                    )
                api.wait(LOOK_EVERY_S)

        started_s = time.perf_counter()
        for number, event in enumerate(config.events):
            if config.rate_msg_s is None or audience.disconnecting(number):
                wait_until(audience.has_handled_all)
            audience.change(number)
            due_s = started_s + number / (config.rate_msg_s or math.inf)
            wait_until(lambda due_s=due_s: time.perf_counter() >= due_s)  # type: ignore[misc]
            api.publish_event(event, message_id=str(number))
            audience.expect()
            update()
        audience.change(None)
        wait_until(audience.has_handled_all)
    passing = [audience.queues[each.name] for each in subscribers if each.queue is None]
    return Scene(ledger, audience.queues, EVENTS, marks=audience.marks, passing=passing)


class _Audience(contextlib.ExitStack):
    """The subscribers of a run: who is there, and what each has still to handle.

    In the end all are disconnected, and their durable queues deleted.
    """

    def __init__(self, broker: Broker, subscribers: Sequence[Subscriber], ledger: Ledger) -> None:
        super().__init__()
        self._broker = broker
        self._subscribers = subscribers
        self._recorders = {
            each.name: ledger.consumer(each.name, identify=by_message_id) for each in subscribers
        }
        self.queues = {each.name: each.queue or f"{each.name}: its own" for each in subscribers}
        self._existing: set[str] = set()
        self._expected: Counter[str] = Counter()  # events published to each queue so far
        self._there: dict[str, WorkerPool] = {}
        self.marks: list[Mark] = []
        durable = dict.fromkeys(each.queue for each in subscribers if each.queue)
        topology = Topology(queues=tuple(Queue(name=name) for name in durable))
        topology.delete(broker)
        self.callback(topology.delete, broker)

    def has_handled_all(self) -> bool:
        """Return True if nothing is in the queues of those who are there, nor in their hands."""
        for pool in self._there.values():
            pool.check()
        settled: Counter[str] = Counter()
        for name, recorder in self._recorders.items():
            settled[self.queues[name]] += recorder.settled_count
        return all(
            settled[queue] >= self._expected[queue] for queue in map(self.queues.__getitem__, self._there)
        )

    def disconnecting(self, number: int | None) -> list[Subscriber]:
        """List who is there, and is to be away when this event is published."""
        return [each for each in self._subscribers if each.name in self._there and number in each.away]

    def change(self, number: int | None) -> None:
        """Let those be there who are to be when this event is published; all if None."""
        for each in self.disconnecting(number):
            self._there.pop(each.name).close()
            if each.queue is None:
                self._existing.discard(self.queues[each.name])
            self._mark(each, "leaves")
        for each in self._subscribers:
            if each.name not in self._there and number not in each.away:
                pool = self.enter_context(WorkerPool(1, partial(self._make_worker, each)))
                pool.begin()
                self._there[each.name] = pool
                self._existing.add(self.queues[each.name])
                if each.away:
                    self._mark(each, "is there", connects=True)
            elif each.name not in self._there and number == 0:
                self._mark(each, "is away")

    def _mark(self, who: Subscriber, words: str, *, connects: bool = False) -> None:
        self.marks.append(Mark(time.perf_counter_ns(), f"{who.name} {words}", who.name, connects))

    def expect(self) -> None:
        """Note that an event was published."""
        self._expected.update(self._existing)

    def _make_worker(self, subscriber: Subscriber, _: int) -> EventSubscriber:
        return EventSubscriber(
            self._broker,
            lambda _: time.sleep(subscriber.work_s),
            name=subscriber.name,
            queue=subscriber.queue,
            prefetch_count=1,  # what waits for it waits in its queue
            observer=self._recorders[subscriber.name],
        )


def outcome_of_events(ledger: Ledger, subscribers: Sequence[Subscriber], repeat: int = 0) -> pd.DataFrame:
    """Return one row a subscriber and event of a run."""
    account = ledger.account()
    deliveries = Report(account).deliveries().groupby(["consumer", "message"])
    outcome = deliveries.agg(
        deliveries=("delivered_s", "size"), delivered_s=("delivered_s", "min"), handled_s=("settled_s", "max")
    )
    by_name, numbers = {each.name: each for each in subscribers}, account.messages.index
    index = pd.MultiIndex.from_product([list(by_name), numbers], names=["subscriber", "event"])
    events = outcome.reindex(index).reset_index()
    who = events["subscriber"].map(by_name)
    published_ns = account.messages["published_ns"]
    # A run's first event is its first publishing: the report's times count from there, too.
    published_s = np.tile((published_ns - published_ns.min()) / 1e9, len(subscribers))
    return events.assign(
        subscribers=len(subscribers),
        repeat=repeat,
        queue=[each.queue or "its own" for each in who],
        away=[event in each.away for each, event in zip(who, events["event"], strict=True)],
        deliveries=events["deliveries"].fillna(0).astype(int),
        published_s=published_s,
        latency_ms=(events["delivered_s"] - published_s) * 1000,
    )


def broadcast_result(
    events: pd.DataFrame, environment: Mapping[str, object], scenes: Mapping[str, Scene]
) -> Result:
    """Return the result of runs, of one row a run, subscriber and event."""
    got = events[events["deliveries"] > 0]
    received = (
        events.assign(is_received=events["deliveries"] > 0)
        .groupby([*RUN, "subscriber", "queue"], sort=False, as_index=False)
        .agg(
            published=("event", "size"), received=("is_received", "sum"), latency_ms=("latency_ms", "median")
        )
    )
    received.insert(6, "missed", received["published"] - received["received"])
    by_event = events.groupby([*RUN, "event"], sort=False)["latency_ms"].agg(first_ms="min", last_ms="max")
    runs = by_event.groupby(RUN, sort=False).median()
    runs.insert(0, "received", events.groupby(RUN, sort=False)["deliveries"].sum())
    changes = pd.concat(
        [got.assign(time_s=got["published_s"], backlog=1), got.assign(time_s=got["handled_s"], backlog=-1)]
    )
    changes = changes.dropna(subset="time_s").sort_values("time_s", kind="stable", ignore_index=True)
    changes["backlog"] = changes.groupby([*RUN, "subscriber"])["backlog"].cumsum()
    return Result(
        rows=events,
        draw=plot_attendance,
        provenance=environment,
        details={
            "received": received,
            "backlog": changes[[*RUN, "subscriber", "time_s", "backlog"]],
            "runs": runs.reset_index(),
        },
        figures={"backlog": plot_backlog, "spread": plot_spread},
        scenes=scenes,
    )
