"""The faults: how each is made, and how long it lasted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rmqlab.broker import WRITTEN_AFTER_S, Broker, Link, Outage


@dataclass(frozen=True, slots=True)
class FaultTarget:
    """What is to be broken.

    Attributes:
        broker: a broker of our own.
        link: what leads to it; None where clients reach the broker itself.
        queue: name of the queue in use.
        declared_s: when it was declared, by the monotonic clock.
        lasting_s: how long a fault lasts that has no length of its own, in seconds.
    """

    broker: Broker
    link: Link | None
    queue: str
    declared_s: float
    lasting_s: float


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: what it is called.
        happen: makes it happen, and returns when the broker is back.
        is_instant: whether it has no length: the broker is there all the time.
        by_link: whether it happens on the way to the broker.
        takes_queue: whether the queue goes, with all that is in it.
        times: how many times as long it lasts as others that have no length of their own.
    """

    name: str
    happen: Callable[[FaultTarget], Outage]
    is_instant: bool = False
    by_link: bool = False
    takes_queue: bool = False
    times: float = 1


# Long enough that every client notices, pika as well, which adds 5 s to the heartbeat.
LONG = 10 / 3


def _close(site: FaultTarget) -> Outage:
    return _at_once("closed", site.broker.close_connections)


def _drop(site: FaultTarget) -> Outage:
    return _at_once("dropped", _link(site).drop)


def _restart(site: FaultTarget) -> Outage:
    return site.broker.restart()


def _kill(site: FaultTarget) -> Outage:
    # A queue that the broker has not written down yet is lost whatever its clients do.
    time.sleep(max(site.declared_s + WRITTEN_AFTER_S - time.monotonic(), 0))
    return site.broker.kill()


def _freeze(site: FaultTarget) -> Outage:
    with site.broker.frozen() as outage:
        time.sleep(site.lasting_s)
    return outage


def _cut(site: FaultTarget) -> Outage:
    with _link(site).cut() as outage:
        time.sleep(site.lasting_s)
    return outage


def _alarm(site: FaultTarget) -> Outage:
    with site.broker.memory_alarm() as outage:
        time.sleep(site.lasting_s)
    return outage


def _delete(site: FaultTarget) -> Outage:
    return _at_once("deleted", lambda: site.broker.delete_queue(site.queue))


def _at_once(name: str, happen: Callable[[], object]) -> Outage:
    began_ns = time.perf_counter_ns()
    happen()
    return Outage(name, began_ns, began_ns)


def _link(site: FaultTarget) -> Link:
    assert site.link is not None
    return site.link


FAULTS = {
    kind.name: kind
    for kind in (
        FaultKind("closed connections", _close, is_instant=True),
        FaultKind("dropped connections", _drop, is_instant=True, by_link=True),
        FaultKind("restart", _restart),
        FaultKind("kill", _kill),
        FaultKind("frozen", _freeze),
        FaultKind("frozen for long", _freeze, times=LONG),
        FaultKind("cut network", _cut, by_link=True),
        FaultKind("cut for long", _cut, by_link=True, times=LONG),
        FaultKind("memory alarm", _alarm),
        FaultKind("deleted queue", _delete, is_instant=True, takes_queue=True),
    )
}
