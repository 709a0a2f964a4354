"""What the bench is made of: libraries, variants, suites, and the order of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import TracebackType
from typing import Literal

from rmqlab.errors import RmqlabError

BODY_BYTES = 256


class BenchError(RmqlabError):
    """A run of the bench that failed, or that lost messages."""


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
    """What a variant is to do: publish or consume so many messages.

    Attributes:
        url: AMQP URL of the broker, password included; not shown in the repr.
        queue: name of the queue, which is there; a consumer finds its messages in it.
        count: how many messages.
        body_bytes: size of a message's body, in bytes.
    """

    url: str = field(repr=False)
    queue: str
    count: int
    body_bytes: int = BODY_BYTES

    @property
    def body(self) -> bytes:
        """The body of each message."""
        return b"." * self.body_bytes


class Stopwatch:
    """Times the part of a run that counts; connecting and closing do not.

    Args:
        gate: is called before the clock starts; may wait for others that start as well.
    """

    def __init__(self, gate: Callable[[], None] = lambda: None) -> None:
        self._gate = gate
        self.started_s = 0.0
        self.stopped_s = 0.0

    @property
    def seconds(self) -> float:
        """The time that was taken, in seconds."""
        return self.stopped_s - self.started_s

    def start(self) -> None:
        """Start the clock: the connection is open, nothing is published or consumed yet."""
        self._gate()
        self.started_s = time.perf_counter()

    def stop(self) -> None:
        """Stop the clock: the last message is confirmed, or acknowledged."""
        self.stopped_s = time.perf_counter()

    def __enter__(self) -> Stopwatch:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One way to publish, or to consume, with one library.

    Attributes:
        name: what it is called in tables and figures; unique in its group.
        library: whose code it runs.
        role: whether it publishes or consumes.
        work: does it: `work(order, stopwatch, **arguments)`; a function of a module, as it
            runs in a process of its own.
        arguments: of `work`: numbers and texts.
        settings: what tells it from the others, as columns of the frame: confirms,
            prefetch, ack, ledger.
        body_bytes: size of the messages' bodies, in bytes.
        processes: how many processes share the messages.
        group: which variants it is compared with; empty where there is one group only.
        baseline: whether the others of its group are measured by it.
    """

    name: str
    library: Library
    role: Literal["publish", "consume"]
    work: Callable[..., None]
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    settings: Mapping[str, int | str] = field(default_factory=dict)
    body_bytes: int = BODY_BYTES
    processes: int = 1
    group: str = ""
    baseline: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.group})" if self.group else self.name

    def run(self, url: str, queue: str, count: int) -> float:
        """Run it once, in this process, and give the seconds it took."""
        stopwatch = Stopwatch()
        self.work(Workload(url, queue, count, self.body_bytes), stopwatch, **self.arguments)
        return stopwatch.seconds


@dataclass(frozen=True, slots=True)
class Suite:
    """Variants that run against each other.

    Attributes:
        name: what it is called on the command line.
        title: what it compares.
        method: what each variant does, and what the clock covers.
        focus: name of the variant, one in each group, that the others are compared with
            besides the baseline.
        variants: the variants, the baseline of each group among them.
        rounds: how many rounds it takes for each repeat that is asked for.
    """

    name: str
    title: str
    method: str
    focus: str
    variants: tuple[Variant, ...]
    rounds: int = 1

    @property
    def baseline(self) -> str:
        """The name that the baseline has in every group."""
        return next(each.name for each in self.variants if each.baseline)
