"""The faults: how each is made, and how long it lasted."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rmqlab.broker import QUEUE_METADATA_FLUSH_S, Link, Outage, OwnBroker

SHORT_S = 6.0  # three heartbeats
LONG_S = 20.0  # every client notices: pika adds 5 s to the time without heartbeats
WARMUP_S = 1.5


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        make: breaks a broker, the link to it or the queue in use, and returns when all is well
            again: the `Outage`, if there was one.
        by_link: whether it happens on the way to the broker.
        takes_queue: whether the queue goes, with all that is in it.
        warmup_s: for how long all is well before it, in seconds.
    """

    make: Callable[[OwnBroker, Link, str], object]
    by_link: bool = False
    takes_queue: bool = False
    warmup_s: float = WARMUP_S

    def happen(self, broker: OwnBroker, link: Link, queue: str) -> Outage:
        """Return the outage when all is well again; it has no length if the broker never was away."""
        began_ns = time.perf_counter_ns()
        outage = self.make(broker, link, queue)
        return outage if isinstance(outage, Outage) else Outage("instant", began_ns, began_ns)


def _last(seconds: float, fault: AbstractContextManager[Outage]) -> Outage:
    with fault as outage:
        time.sleep(seconds)
    return outage


FAULTS = {
    "closed connections": FaultKind(lambda broker, *_: broker.close_connections()),
    "dropped connections": FaultKind(lambda _, link, __: link.drop(), by_link=True),
    "restart": FaultKind(lambda broker, *_: broker.restart()),
    # A queue that the broker has not written down yet is lost whatever its clients do.
    "kill": FaultKind(lambda broker, *_: broker.kill(), warmup_s=QUEUE_METADATA_FLUSH_S),
    "frozen": FaultKind(lambda broker, *_: _last(SHORT_S, broker.paused())),
    "frozen for long": FaultKind(lambda broker, *_: _last(LONG_S, broker.paused())),
    "cut network": FaultKind(lambda _, link, __: _last(SHORT_S, link.partitioned()), by_link=True),
    "cut for long": FaultKind(lambda _, link, __: _last(LONG_S, link.partitioned()), by_link=True),
    "memory alarm": FaultKind(lambda broker, *_: _last(SHORT_S, broker.memory_alarm())),
    "deleted queue": FaultKind(lambda broker, _, queue: broker.delete_queue(queue), takes_queue=True),
}
