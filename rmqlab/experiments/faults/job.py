"""What a client is to do in a trial, and the settings that all clients share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rmqlab.amqp import Queue, Topology
from rmqlab.measure import Ledger, Load

LOAD = Load(1_000_000)  # more messages than a trial needs
INTERVAL_S = 1 / 300  # between two messages; time that is lost to a fault is not made up for
PREFETCH = 100
HEARTBEAT_S = 2
# How long a message may be without its confirm before it is published again, by clients that have
# such a limit. A limit shorter than a fault makes duplicates.
CONFIRM_TIMEOUT_S = 15.0
# The wait after a failed attempt to connect, the first and the longest, the same for all.
# aio-pika knows no other back-off than a fixed wait, so the others have the same one. rmqlab waits a
# random part of it, from nothing to all, which cannot be turned off; the others wait all of it.
WAIT_S = 0.5


@dataclass(slots=True)
class Job:
    """What the publisher and the consumer of one trial do."""

    url: str = field(repr=False)  # has the password
    queue: str
    queue_type: str
    window: int = 1  # how many messages may be unconfirmed, for a client that keeps a window
    ledger: Ledger = field(default_factory=Ledger)
    republished: int = 0  # how often the publisher sent a message once more
    ending: threading.Event = field(default_factory=threading.Event)  # only wait for confirms
    stopping: threading.Event = field(default_factory=threading.Event)  # both are to end at once
    _at_stop: list[Callable[[], object]] = field(default_factory=list)

    @property
    def topology(self) -> Topology:
        """The one queue that the messages go through."""
        return Topology(queues=(Queue(name=self.queue, type=self.queue_type),))  # type: ignore[arg-type]

    def at_stop(self, call: Callable[[], object]) -> None:
        """Register what ends the publisher or the consumer, called from another thread."""
        self._at_stop.append(call)
        if self.stopping.is_set():
            call()

    def stop(self) -> None:
        """Let both end as soon as they can."""
        self.ending.set()
        self.stopping.set()
        for call in self._at_stop:
            call()
