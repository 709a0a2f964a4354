"""Publish events to subscribers that come, go and take their time, and record who got which."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from functools import partial

from tqdm import tqdm

from rmqlab.amqp import Queue, Topology
from rmqlab.broker import Broker
from rmqlab.closing import Closing
from rmqlab.engine import EngineAPI, Event, EventSubscriber
from rmqlab.errors import BrokerError
from rmqlab.experiments._broadcast_frames import Broadcast, Subscriber
from rmqlab.experiments._pool import WorkerPool
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._report import provenance

LOOK_EVERY_S = 0.002
LONGEST_WAIT_S = 0.05


def run_broadcast(
    broker: Broker,
    events: Sequence[Event],
    *,
    subscribers: int | Sequence[Subscriber],
    rate_msg_s: float | None = None,
    prefetch_count: int = 1,
    timeout_s: float = 60,
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
        timeout_s: give up after this many seconds.
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
        _Wait(api, audience, len(events), timeout_s, progress) as wait,
    ):
        started_s = time.perf_counter()
        for number, event in enumerate(events):
            for place in audience.disconnecting(number):
                wait.until_handled([place])
                audience.disconnect(place)
            audience.connect(number)
            if rate_msg_s is not None:
                wait.until_s(started_s + number / rate_msg_s)
            api.publish_event(event, message_id=str(number))
            audience.expect()
            if rate_msg_s is None:
                wait.until_handled()
        audience.connect(len(events))
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

    def disconnecting(self, number: int) -> list[int]:
        """List who is there, and is to be away when this event is published."""
        return [place for place in self._there if number in self._subscribers[place].away]

    def disconnect(self, place: int) -> None:
        """Let a subscriber close its connection; a queue of its own goes with that."""
        _, stack = self._there.pop(place)
        stack.close()
        self._queues.discard(place)

    def connect(self, number: int) -> None:
        """Let those connect who are to be there when this event is published."""
        for place, subscriber in enumerate(self._subscribers):
            if place in self._there or number in subscriber.away:
                continue
            stack = self._stack.enter_context(contextlib.ExitStack())
            pool = stack.enter_context(WorkerPool(1, partial(self._make_worker, place)))
            pool.begin()
            self._there[place] = pool, stack
            self._queues.add(self._keys[place])

    def expect(self) -> None:
        """Note that an event was published."""
        for key in self._queues:
            self._expected[key] += 1

    def check(self) -> None:
        """Raise what ended a subscriber, if one has ended."""
        for pool, _ in self._there.values():
            pool.check()

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
        self, api: EngineAPI, audience: _Audience, events: int, timeout_s: float, show: bool
    ) -> None:
        self._api = api
        self._audience = audience
        self._timeout_s = timeout_s
        self._deadline_s = time.monotonic() + timeout_s
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
                f"Only {handled} of {self._bar.total} events were handled within {self._timeout_s:g} s. "
                "Next: give less work, fewer events or a longer timeout_s"
            )
