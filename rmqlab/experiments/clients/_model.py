"""What the comparison is made of: libraries, what they are to do, and ways to do it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from rmqlab.errors import RmqlabError


class ClientError(RmqlabError):
    """A run of a client library that failed, or that lost messages."""


@dataclass(frozen=True, slots=True)
class Library:
    """A client library.

    Attributes:
        name: what its users call it.
        module: what it is imported as.
        distribution: its name on PyPI.
    """

    name: str
    module: str
    distribution: str

    @property
    def version(self) -> str | None:
        """The version that is installed; None if there is none."""
        # kombu puts something in the place of its module that `find_spec` does not take.
        if self.module not in sys.modules and find_spec(self.module) is None:
            return None
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return "unknown"


RMQLAB = Library("rmqlab", "rmqlab", "rmqlab")
PIKA = Library("pika", "pika", "pika")
AIO_PIKA = Library("aio-pika", "aio_pika", "aio-pika")
PY_AMQP = Library("py-amqp", "amqp", "amqp")
AMQPSTORM = Library("amqpstorm", "amqpstorm", "AMQPStorm")


@dataclass(frozen=True, slots=True)
class Workload:
    """What one process is to publish or to consume.

    Attributes:
        url: AMQP URL of the broker, password included; not shown in the repr.
        queue: name of the queue, which is there; a consumer finds its messages in it.
        count: how many messages.
        body_bytes: size of a message's body, in bytes.
        window: how many messages may be unconfirmed, for a publisher that keeps a window.
        prefetch: how many messages the broker hands over before they are acknowledged.
        ack_every: how many messages one acknowledgement covers.
    """

    url: str = field(repr=False)
    queue: str
    count: int
    body_bytes: int
    window: int
    prefetch: int
    ack_every: int

    @property
    def body(self) -> bytes:
        """The body of each message."""
        return b"." * self.body_bytes

    def is_ack_due(self, received: int) -> bool:
        """Return True if a consumer is to acknowledge, having received so many messages."""
        return received == self.count or received % self.ack_every == 0


class Stopwatch:
    """Times a run from the first message until the last one is confirmed, or acknowledged.

    Connecting and closing do not count.
    """

    def __init__(self) -> None:
        self._started_s = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Start; the connection is open."""
        self._started_s = time.perf_counter()

    def stop(self) -> None:
        """Stop, and set `seconds`."""
        self.seconds = time.perf_counter() - self._started_s

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to publish, or to consume, with one library.

    Attributes:
        role: whether it publishes or consumes.
        name: what it is called in frames and figures; unique.
        library: whose code it runs.
        work: does the workload; a function of a module, as it runs in another process.
        is_baseline: whether the others of its role are compared with it.
    """

    role: Literal["publish", "consume"]
    name: str
    library: Library
    work: Callable[[Workload, Stopwatch], None]
    is_baseline: bool = False
