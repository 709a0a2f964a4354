"""The ledger against a model in plain Python, fed any interleaving of what can happen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from helpers import body_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqlab.measure import Ledger, Report
from rmqlab.measure._recorders import NACKED, OUTCOMES, RETURNED

CODES = {None: 0, **OUTCOMES}
CONSUMERS = 3


@dataclass
class Delivered:
    message: Message
    consumer: int
    time: int
    redelivered: bool
    settled: int = 0
    outcome: str | None = None


@dataclass
class Message:
    number: int  # -1 is somebody else's
    body: bytes
    fate: str = "queue"  # what the broker does with it: queue, return, vanish, refuse
    published: int = 0
    answered: int = 0
    deliveries: list[Delivered] = field(default_factory=list)

    @property
    def confirmed(self) -> int:
        return 0 if self.fate == "refuse" else self.answered

    @property
    def flags(self) -> int:
        is_nacked = self.answered and self.fate == "refuse"
        return (NACKED if is_nacked else 0) | (RETURNED if self.fate == "return" else 0)


class World:
    """A publisher, a broker and consumers, of whom a ledger and a model are told the same."""

    def __init__(self) -> None:
        self.now = 0
        self.ledger = Ledger(clock=self._tick)
        self._publisher = self.ledger.publisher()
        self._consumers = [self.ledger.consumer() for _ in range(CONSUMERS)]
        self.messages: list[Message] = []
        self.deliveries: list[Delivered] = []
        self.queue: list[tuple[Message, bool]] = []
        # By consumer: all deliveries on its channel, and the tags that the broker waits for.
        self.channels: list[list[Delivered]] = [[] for _ in range(CONSUMERS)]
        self.waiting: list[list[int]] = [[] for _ in range(CONSUMERS)]

    def _tick(self) -> int:
        self.now += 1
        return self.now

    def publish(self, fate: str) -> None:
        number = len(self.messages)
        self._publisher.published(number)
        self.messages.append(Message(number, body_of(number), fate, self.now))
        if fate == "queue":
            self.queue.append((self.messages[-1], False))
        elif fate == "return":
            self._publisher.returned(None, body_of(number))

    def publish_again(self, which: int) -> None:
        """The publisher has lost its connection, and sends again what is not answered."""
        numbers = [each.number for each in self.messages if not each.answered]
        if numbers:
            self._publisher.published(numbers[which % len(numbers)])

    def answer(self, skip: int, most: int) -> None:
        """Confirm or nack a stretch of messages that are not answered yet."""
        stretch: list[Message] = []
        for message in self.messages[skip : skip + most]:
            if message.answered or (message.fate == "refuse") != (self.messages[skip].fate == "refuse"):
                break
            stretch.append(message)
        if stretch:
            is_refused = stretch[0].fate == "refuse"
            notify = self._publisher.nacked if is_refused else self._publisher.confirmed
            for message in stretch:
                notify(message.number)
                message.answered = self.now

    def intrude(self, body: bytes) -> None:
        """Somebody else publishes to the queue."""
        self.queue.append((Message(-1, body), False))

    def lose(self, which: int) -> None:
        """The broker loses a message."""
        if self.queue:
            self.queue.pop(which % len(self.queue))

    def deliver(self, consumer: int, which: int) -> None:
        if not self.queue:
            return
        message, flagged = self.queue.pop(which % len(self.queue))
        tag = len(self.channels[consumer]) + 1
        self._consumers[consumer].delivered(tag, flagged, None, message.body)
        delivered = Delivered(message, consumer, self.now, flagged)
        self.channels[consumer].append(delivered)
        self.waiting[consumer].append(tag)
        if message.number >= 0:
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
            delivered.settled, delivered.outcome = self.now, outcome
            if arrives:
                self.waiting[consumer].remove(each)
                if outcome == "requeued":
                    self.queue.insert(0, (delivered.message, True))

    def crash(self, consumer: int) -> None:
        """A consumer loses its channel, and opens another."""
        for tag in reversed(self.waiting[consumer]):
            self.queue.insert(0, (self.channels[consumer][tag - 1].message, True))
        self.channels[consumer], self.waiting[consumer] = [], []


consumer = st.integers(0, CONSUMERS - 1)
few = st.integers(0, 5)
fates = st.sampled_from(["queue", "queue", "queue", "queue", "return", "vanish", "refuse"])
intruders = st.sampled_from([b"", b"short", body_of(500), body_of(2**32 - 1), b"\xff" * 40])
outcomes = st.sampled_from(["acked", "acked", "requeued", "rejected"])
faults = st.lists(
    st.one_of(
        *[st.tuples(st.just("publish"), fates)] * 2,
        *[st.tuples(st.just("deliver"), consumer, few)] * 3,
        st.tuples(st.just("answer"), few, st.integers(1, 5)),
        st.tuples(st.just("settle"), consumer, few, st.booleans(), outcomes, st.booleans()),
        st.tuples(st.just("crash"), consumer),
        st.tuples(st.sampled_from(["lose", "publish_again"]), few),
        st.tuples(st.just("intrude"), intruders),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(faults)
def test_a_ledger_reports_exactly_what_happened(events: list[Any]) -> None:
    world = World()
    for name, *arguments in events:
        getattr(world, name)(*arguments)
    messages, deliveries, account = world.messages, world.deliveries, world.ledger.account()

    totals = dataclasses.asdict(account.totals())
    unseen = [m for m in messages if not m.deliveries and m.fate != "return"]
    assert totals == {
        "published": len(messages),
        "confirmed": sum(m.confirmed > 0 for m in messages),
        "nacked": sum(m.flags == NACKED for m in messages),
        "returned": sum(m.flags == RETURNED for m in messages),
        "received": len(deliveries),
        "unique": sum(len(m.deliveries) > 0 for m in messages),
        "redelivered": sum(d.redelivered for d in deliveries),
        "duplicated": sum(len(m.deliveries) > 1 for m in messages),
        **{word: sum(d.outcome == word for d in deliveries) for word in OUTCOMES},
        "lost_confirmed": sum(m.confirmed > 0 for m in unseen),
        "lost_unconfirmed": sum(not m.answered for m in unseen),
    }
    assert world.ledger.done == len(
        {d.message.number for d in deliveries if d.outcome in ("acked", "rejected")}
    )
    assert [tuple(each.tolist()) for each in account.messages] == [
        (
            m.number,
            m.published,
            m.confirmed,
            m.deliveries[0].time if m.deliveries else 0,
            max((d.settled for d in m.deliveries), default=0),
            len(m.deliveries),
            m.deliveries[-1].consumer if m.deliveries else -1,
            max((CODES[d.outcome] for d in m.deliveries), default=0),
            m.flags,
        )
        for m in messages
    ]
    assert [tuple(each.tolist()) for each in account.deliveries] == [
        (d.time, d.settled, CODES[d.outcome], d.redelivered, d.message.number, d.consumer) for d in deliveries
    ]

    report = Report(account)
    consumers, listed = report.consumers(), report.deliveries()
    throughput = report.throughput(bin_s=1e-8).groupby("event")["messages"].sum()
    for word in ("received", "redelivered", "acked", "rejected"):
        assert consumers[word].sum() == totals[word]
    for word in ("published", "confirmed", "received"):
        assert throughput.get(word, 0) == totals[word]
    assert len(listed) == totals["received"]
    assert consumers["utilization"].dropna().between(0, 1).all()
