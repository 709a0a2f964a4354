"""The ledger against a model in plain Python, fed any interleaving of what can happen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from helpers import body_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqlab.measure import Ledger, Report
from rmqlab.measure._snapshots import ACKED, NACKED, REDELIVERED, REJECTED, REQUEUED, RETURNED

CONSUMERS = ["worker-1", "worker-2", "worker-3"]
CODES = {None: 0, "requeued": REQUEUED, "rejected": REJECTED, "acked": ACKED}


class Clock:
    """Goes on by one with each look."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


@dataclass
class Delivered:
    message: Message | bytes  # bytes are somebody else's
    consumer: int
    time: int
    redelivered: bool
    settled: int = 0
    outcome: str | None = None


@dataclass
class Message:
    number: int
    fate: str  # what the broker does with it: queue, return, vanish, refuse
    published: int = 0
    answered: int = 0
    returned: bool = False
    deliveries: list[Delivered] = field(default_factory=list)


class World:
    """A publisher, a broker and consumers, of whom a ledger and a model are told the same."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(clock=self.clock)
        self._publisher = self.ledger.publisher()
        self._consumers = [self.ledger.consumer(name) for name in CONSUMERS]
        self.messages: list[Message] = []
        self.deliveries: list[Delivered] = []
        self.foreign = 0
        self.queue: list[tuple[Message | bytes, bool]] = []
        # By consumer: all deliveries on its channel, and the tags that the broker waits for.
        self.channels: list[list[Delivered]] = [[] for _ in CONSUMERS]
        self.waiting: list[list[int]] = [[] for _ in CONSUMERS]

    # --- what can happen ---------------------------------------------------------------------

    def publish(self, fate: str) -> None:
        message = Message(len(self.messages), fate)
        self._publisher.published(message.number)
        message.published = self.clock.now
        self.messages.append(message)
        if fate == "queue":
            self.queue.append((message, False))
        elif fate == "return":
            self._publisher.returned(None, body_of(message.number))
            message.returned = True

    def publish_again(self, which: int) -> None:
        """The publisher has lost its connection, and sends again what is not answered."""
        numbers = [each.number for each in self.messages if not each.answered]
        if numbers:
            self._publisher.published(numbers[which % len(numbers)])

    def answer(self, skip: int, most: int) -> None:
        """Confirm or nack a stretch of messages that are not answered yet."""
        mine = self.messages
        open_ = [number for number, message in enumerate(mine) if not message.answered][skip:]
        if not open_:
            return
        first = last = open_[0]
        refused = mine[first].fate == "refuse"
        while (
            last - first + 1 < most
            and last + 1 < len(mine)
            and not mine[last + 1].answered
            and (mine[last + 1].fate == "refuse") == refused
        ):
            last += 1
        (self._publisher.nacked if refused else self._publisher.confirmed)(first, last)
        for message in mine[first : last + 1]:
            message.answered = self.clock.now

    def intrude(self, body: bytes) -> None:
        """Somebody else publishes to the queue."""
        self.queue.append((body, False))

    def lose(self, which: int) -> None:
        """The broker loses a message."""
        if self.queue:
            self.queue.pop(which % len(self.queue))

    def deliver(self, consumer: int, which: int) -> None:
        if not self.queue:
            return
        message, flagged = self.queue.pop(which % len(self.queue))
        tag = len(self.channels[consumer]) + 1
        body = message if isinstance(message, bytes) else body_of(message.number)
        self._consumers[consumer].delivered(tag, flagged, None, body)
        delivered = Delivered(message, consumer, self.clock.now, flagged)
        self.channels[consumer].append(delivered)
        self.waiting[consumer].append(tag)
        if isinstance(message, bytes):
            self.foreign += 1
        else:
            message.deliveries.append(delivered)
            self.deliveries.append(delivered)

    def settle(self, consumer: int, which: int, multiple: bool, outcome: str, arrives: bool) -> None:
        """A consumer says the outcome of deliveries; perhaps the broker never hears of it."""
        channel = self.channels[consumer]
        waiting = [tag for tag in self.waiting[consumer] if channel[tag - 1].outcome is None]
        if not waiting:
            return
        tag = waiting[which % len(waiting)]
        self._consumers[consumer].settled(tag, multiple, outcome)
        for each in [one for one in waiting if one == tag or (multiple and one < tag)]:
            delivered = channel[each - 1]
            delivered.settled, delivered.outcome = self.clock.now, outcome
            if arrives:
                self.waiting[consumer].remove(each)
                if outcome == "requeued":
                    self.queue.insert(0, (delivered.message, True))

    def crash(self, consumer: int) -> None:
        """A consumer loses its channel, and opens another."""
        for tag in reversed(self.waiting[consumer]):
            self.queue.insert(0, (self.channels[consumer][tag - 1].message, True))
        self.channels[consumer], self.waiting[consumer] = [], []


consumer = st.integers(0, len(CONSUMERS) - 1)
few = st.integers(0, 5)
fates = st.sampled_from(["queue", "queue", "queue", "queue", "return", "vanish", "refuse"])
intruders = st.sampled_from([b"", b"short", body_of(500), body_of(2**32 - 1), b"\xff" * 40])
faults = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), fates),
        st.tuples(st.just("publish"), fates),
        st.tuples(st.just("deliver"), consumer, few),
        st.tuples(st.just("deliver"), consumer, st.just(0)),
        st.tuples(st.just("deliver"), consumer, st.just(0)),
        st.tuples(st.just("answer"), few, st.integers(1, 5)),
        st.tuples(
            st.just("settle"),
            consumer,
            few,
            st.booleans(),
            st.sampled_from(["acked", "acked", "requeued", "rejected"]),
            st.sampled_from([True, True, True, False]),
        ),
        st.tuples(st.just("crash"), consumer),
        st.tuples(st.sampled_from(["lose", "publish_again"]), few),
        st.tuples(st.just("intrude"), intruders),
    ),
    max_size=80,
)


def _happen(events: list[Any]) -> World:
    world = World()
    for name, *arguments in events:
        getattr(world, name)(*arguments)
    return world


@settings(max_examples=300)
@given(faults)
def test_a_ledger_reports_exactly_what_happened(events: list[Any]) -> None:
    world = _happen(events)
    messages, deliveries = world.messages, world.deliveries

    confirmed = [m for m in messages if m.answered and m.fate != "refuse"]
    unheard = [m for m in messages if not m.answered and not m.returned]
    assert dataclasses.asdict(world.ledger.totals()) == {
        "published": len(messages),
        "confirmed": len(confirmed),
        "nacked": sum(m.answered > 0 and m.fate == "refuse" for m in messages),
        "returned": sum(m.returned for m in messages),
        "received": len(deliveries),
        "unique": sum(len(m.deliveries) > 0 for m in messages),
        "redelivered": sum(d.redelivered for d in deliveries),
        "duplicated": sum(len(m.deliveries) > 1 for m in messages),
        "acked": sum(d.outcome == "acked" for d in deliveries),
        "rejected": sum(d.outcome == "rejected" for d in deliveries),
        "requeued": sum(d.outcome == "requeued" for d in deliveries),
        "lost_confirmed": sum(not m.returned and not m.deliveries for m in confirmed),
        "lost_unconfirmed": sum(not m.deliveries for m in unheard),
        "foreign": world.foreign,
    }
    settled = {d.message.number for d in deliveries if d.outcome in ("acked", "rejected")}
    assert world.ledger.done == len(settled)


@settings(max_examples=200)
@given(faults)
def test_a_ledger_knows_of_each_message_what_happened_to_it(events: list[Any]) -> None:
    world = _happen(events)
    account = world.ledger.account()

    expected = [
        (
            m.number,
            m.published,
            m.answered if m.fate != "refuse" else 0,
            m.deliveries[0].time if m.deliveries else 0,
            max((d.settled for d in m.deliveries), default=0),
            len(m.deliveries),
            account.consumers[m.deliveries[-1].consumer] if m.deliveries else None,
            max((CODES[d.outcome] for d in m.deliveries), default=0),
            (NACKED if m.answered and m.fate == "refuse" else 0)
            | (RETURNED if m.returned else 0)
            | (REDELIVERED if any(d.redelivered for d in m.deliveries) else 0),
        )
        for m in world.messages
    ]
    names = [*account.consumers, None]
    found = [
        (*row[:6], names[row[6]], *row[7:]) for row in (tuple(each.tolist()) for each in account.messages)
    ]
    assert found == expected
    assert [tuple(each.tolist()) for each in account.deliveries] == [
        (d.time, d.settled, CODES[d.outcome], d.redelivered, d.message.number, d.consumer)
        for d in world.deliveries
    ]


@settings(max_examples=50)
@given(faults)
def test_frames_hold_together(events: list[Any]) -> None:
    world = _happen(events)
    report = Report(world.ledger.account())
    totals = dataclasses.asdict(world.ledger.totals())
    consumers = report.consumers()
    throughput = report.throughput(bin_s=1e-8).groupby("event")["messages"].sum()

    for word in ("received", "redelivered", "acked", "rejected", "requeued"):
        assert consumers[word].sum() == totals[word]
    for word in ("published", "confirmed", "received", "acked", "rejected", "requeued"):
        assert throughput.get(word, 0) == totals[word]
    deliveries = report.deliveries()
    assert (deliveries["delivery"] == 2).sum() == totals["duplicated"]
    assert deliveries["redelivered"].sum() == totals["redelivered"]
    assert consumers["utilization"].dropna().between(0, 1).all()
    assert len(report.latency()) == 2
    assert len(report.fairness()) == 1
