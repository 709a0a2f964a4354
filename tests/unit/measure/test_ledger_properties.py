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
OF_MESSAGES = [
    *("published_ns", "confirmed_ns", "delivered_ns", "settled_ns"),
    *("deliveries", "consumer", "outcome", "flags"),
]
OF_DELIVERIES = ["delivered_ns", "settled_ns", "outcome", "redelivered", "number", "consumer"]


@dataclass
class Delivered:
    number: int  # -1 is somebody else's
    consumer: int
    time: int
    redelivered: bool
    settled: int = 0
    outcome: str | None = None


@dataclass
class Message:
    number: int
    published: int
    answered: int = 0
    flags: int = 0
    deliveries: list[Delivered] = field(default_factory=list)

    @property
    def confirmed(self) -> int:
        return 0 if self.flags & NACKED else self.answered


class World:
    """A publisher and consumers, of whom a ledger and a model are told the same."""

    def __init__(self) -> None:
        self.now = 0
        self.ledger = Ledger(clock=self._tick)
        self._publisher = self.ledger.publisher()
        self._consumers = [self.ledger.consumer() for _ in range(CONSUMERS)]
        self.messages: list[Message] = []
        self.deliveries: list[Delivered] = []
        self.channels: list[list[Delivered]] = [[] for _ in range(CONSUMERS)]

    def _tick(self) -> int:
        self.now += 1
        return self.now

    def publish(self) -> None:
        self._publisher.published(len(self.messages))
        self.messages.append(Message(len(self.messages), self.now))

    def publish_again(self, which: int) -> None:
        if self.messages:
            self._publisher.published(which % len(self.messages))

    def answer(self, which: int, is_refused: bool) -> None:
        waiting = [each for each in self.messages if not each.answered]
        if waiting:
            message = waiting[which % len(waiting)]
            (self._publisher.nacked if is_refused else self._publisher.confirmed)(message.number)
            message.answered = self.now
            message.flags |= NACKED if is_refused else 0

    def come_back(self, which: int) -> None:
        if self.messages:
            message = self.messages[which % len(self.messages)]
            self._publisher.returned(None, body_of(message.number))
            message.flags |= RETURNED

    def intrude(self, consumer: int, body: bytes, redelivered: bool) -> None:
        """A message of somebody else is delivered."""
        self._deliver(consumer, -1, body, redelivered)

    def deliver(self, consumer: int, which: int, redelivered: bool) -> None:
        if self.messages:
            message = self.messages[which % len(self.messages)]
            delivered = self._deliver(consumer, message.number, body_of(message.number), redelivered)
            message.deliveries.append(delivered)
            self.deliveries.append(delivered)

    def _deliver(self, consumer: int, number: int, body: bytes, redelivered: bool) -> Delivered:
        channel = self.channels[consumer]
        self._consumers[consumer].delivered(len(channel) + 1, redelivered, None, body)
        channel.append(Delivered(number, consumer, self.now, redelivered))
        return channel[-1]

    def settle(self, consumer: int, which: int, multiple: bool, outcome: str) -> None:
        channel = self.channels[consumer]
        waiting = [tag for tag, each in enumerate(channel, 1) if each.outcome is None]
        if waiting:
            tag = waiting[which % len(waiting)]
            self._consumers[consumer].settled(tag, multiple, outcome)
            for each in [one for one in waiting if one == tag or (multiple and one < tag)]:
                channel[each - 1].settled, channel[each - 1].outcome = self.now, outcome

    def crash(self, consumer: int) -> None:
        """A consumer loses its channel, and opens another."""
        self.channels[consumer] = []


consumer = st.integers(0, CONSUMERS - 1)
few = st.integers(0, 5)
intruders = st.sampled_from([b"", b"short", body_of(500), body_of(2**32 - 1), b"\xff" * 40])
recorder_calls = st.lists(
    st.one_of(
        *[st.tuples(st.just("publish"))] * 2,
        *[st.tuples(st.just("deliver"), consumer, few, st.booleans())] * 3,
        *[st.tuples(st.just("settle"), consumer, few, st.booleans(), st.sampled_from([*OUTCOMES]))] * 2,
        st.tuples(st.just("answer"), few, st.booleans()),
        st.tuples(st.just("crash"), consumer),
        st.tuples(st.sampled_from(["come_back", "publish_again"]), few),
        st.tuples(st.just("intrude"), consumer, intruders, st.booleans()),
    ),
    min_size=20,  # in fewer, a message is hardly ever delivered twice and settled in another order
    max_size=80,
)


@settings(max_examples=200)
@given(recorder_calls)
def test_a_ledger_reports_exactly_what_happened(events: list[Any]) -> None:
    world = World()
    for name, *arguments in events:
        getattr(world, name)(*arguments)
    messages, deliveries, account = world.messages, world.deliveries, world.ledger.account()

    totals = dataclasses.asdict(account.totals())
    unseen = [m for m in messages if not m.deliveries and not m.flags & RETURNED]
    assert totals == {
        "published": len(messages),
        "confirmed": sum(m.confirmed > 0 for m in messages),
        "nacked": sum(m.flags & NACKED > 0 for m in messages),
        "returned": sum(m.flags & RETURNED > 0 for m in messages),
        "received": len(deliveries),
        "unique": sum(len(m.deliveries) > 0 for m in messages),
        "redelivered": sum(d.redelivered for d in deliveries),
        "duplicated": sum(len(m.deliveries) > 1 for m in messages),
        **{word: sum(d.outcome == word for d in deliveries) for word in OUTCOMES},
        "lost_confirmed": sum(m.confirmed > 0 for m in unseen),
        "lost_unconfirmed": sum(not m.answered for m in unseen),
    }
    assert world.ledger.done == len({d.number for d in deliveries if d.outcome in ("acked", "rejected")})
    assert list(account.messages[OF_MESSAGES].itertuples(name=None)) == [
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
    assert list(account.deliveries[OF_DELIVERIES].itertuples(index=False, name=None)) == [
        (d.time, d.settled, CODES[d.outcome], d.redelivered, d.number, d.consumer) for d in deliveries
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
