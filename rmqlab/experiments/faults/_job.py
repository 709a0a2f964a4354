"""What a client is given to do, and what it notes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rmqlab.errors import StoppedError
from rmqlab.measure import Ledger, Load

# How long a message may be without its confirm before it is given up and sent again, by
# clients that have such a limit: long enough for a fault that passes, as giving up too soon
# makes duplicates.
PATIENCE_S = 15.0
# The longest wait between two attempts to connect, the same for all.
LONGEST_WAIT_S = 1.0
PREFETCH = 100


class Ended(StoppedError):  # noqa: N818 # no error
    """Raised in a client's thread that is told to end."""


@dataclass(slots=True)
class Job:
    """What the publisher and the consumer of one trial do.

    The trial sets `ending`, and the publisher takes no more messages and waits for its
    confirms; later it calls `stop`, and both end as soon as they can.

    Attributes:
        url: AMQP URL of the broker, password included; not shown in the repr.
        queue: name of the queue.
        arguments: the queue's arguments; it is durable.
        rate_msg_s: how many messages the publisher publishes a second.
        heartbeat_s: what the clients ask for, in seconds.
        load: gives the bodies.
        ledger: what became of each message.
        republished: how often the publisher sent a message once more.
        ending: is set when no more messages are to be published.
        stopping: is set when both are to end.
    """

    url: str = field(repr=False)
    queue: str
    arguments: Mapping[str, str]
    rate_msg_s: float
    heartbeat_s: int
    load: Load
    ledger: Ledger = field(default_factory=Ledger)
    republished: int = 0
    ending: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    _at_stop: list[Callable[[], object]] = field(default_factory=list)

    def at_stop(self, call: Callable[[], object]) -> None:
        """Have something called when both are to end, from another thread; or now if it is late."""
        self._at_stop.append(call)
        if self.stopping.is_set():
            call()

    def stop(self) -> None:
        """Let both end as soon as they can."""
        self.ending.set()
        self.stopping.set()
        for call in self._at_stop:
            call()

    def raise_if_stopping(self) -> None:
        """Raise `Ended` if both are to end."""
        if self.stopping.is_set():
            raise Ended


class Pace:
    """Says when the next message is due. Time that was lost to a fault is not made up for."""

    def __init__(self, rate_msg_s: float) -> None:
        self._step_s = 1 / rate_msg_s
        self._due_s = time.perf_counter()

    def wait_s(self) -> float:
        """Give how long it is until the next message is due, and go on to the one after it."""
        now_s = time.perf_counter()
        wait_s = max(self._due_s - now_s, 0.0)
        self._due_s = max(self._due_s, now_s - self._step_s) + self._step_s
        return wait_s


class Deliveries:
    """Notes a client's deliveries in the ledger, whatever their channel counts."""

    def __init__(self, job: Job, name: str) -> None:
        self._recorder = job.ledger.consumer(name)
        self._count = 0

    def add(self, redelivered: bool, body: bytes) -> int:
        """Note a delivery, and give its tag for `acked`."""
        self._count += 1
        self._recorder.delivered(self._count, redelivered, None, body)
        return self._count

    def acked(self, tag: int) -> None:
        """Note that it was acknowledged."""
        self._recorder.settled(tag, False, "acked")
