"""Made-up load: so many messages, of such a size, at such a rate, with so much work each."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rmqlab.amqp import Publisher
from rmqlab.measure._bar import bar_of
from rmqlab.measure._header import HEADER, Identify, by_header

Floats = npt.NDArray[np.float64]

ALPHA = 1.5  # Pareto's; the nearer to 1, the heavier the tail
SEED = (0, 1)


class Durations(Protocol):
    """How long messages keep a consumer busy."""

    def durations_s(self, count: int, random: np.random.Generator) -> Floats:
        """Return the durations of so many messages' work, in seconds."""


@dataclass(frozen=True, slots=True)
class ConstantDuration:
    """Every message keeps its consumer busy for the same time.

    Attributes:
        duration_s: seconds.
    """

    duration_s: float = 0.0

    def durations_s(self, count: int, random: np.random.Generator) -> Floats:  # noqa: ARG002
        """Return the same for all."""
        return np.full(count, float(self.duration_s))


@dataclass(frozen=True, slots=True)
class ParetoDuration:
    """A heavy tail: a few messages take a large part of all the work.

    Attributes:
        mean_s: mean duration, in seconds.
    """

    mean_s: float

    def durations_s(self, count: int, random: np.random.Generator) -> Floats:
        """Draw from a Pareto distribution with this mean."""
        shortest_s = self.mean_s * (ALPHA - 1) / ALPHA
        return (1 + random.pareto(ALPHA, count)) * shortest_s


@dataclass(frozen=True, slots=True)
class Load:
    """Messages to publish, whose work is the same each time.

    The first 8 bytes of a body are the message's number and its run; the rest is zeros.

    Attributes:
        count: how many messages, which are numbered from 0.
        size_bytes: size of a body, in bytes, from 8.
        rate_msg_s: messages per second, at equal intervals; None is as fast as the publisher can.
        durations: how long their work takes: `ConstantDuration`, `ParetoDuration`, or anything like these.
        run: what tells its messages from those of other loads; new for each load.

    Raises:
        ValueError: an argument is out of range.
    """

    count: int
    size_bytes: int = 256
    rate_msg_s: float | None = None
    durations: Durations = ConstantDuration()
    run: int = field(default_factory=lambda: secrets.randbits(32), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("count", "rate_msg_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        if self.size_bytes < HEADER.size:
            raise ValueError(f"size_bytes is {self.size_bytes}; it goes from {HEADER.size}")

    @property
    def work_s(self) -> float:
        """How long one consumer is busy with all of it, in seconds."""
        return float(self.durations_s().sum())

    def durations_s(self) -> Floats:
        """Return how long each message keeps a consumer busy, in seconds."""
        return self.durations.durations_s(self.count, np.random.default_rng(SEED))

    def body(self, number: int) -> bytes:
        """Make the body of a message."""
        return HEADER.pack(number, self.run) + bytes(self.size_bytes - HEADER.size)

    @property
    def identify(self) -> Identify:
        """What gives the number of a message, for a ledger; below 0 for one that is not of this load."""
        return partial(by_header, run=self.run)

    def again(self) -> Load:
        """Return the same load for another run, whose messages can be told from this one's."""
        return dataclasses.replace(self)


def publish_load(
    publisher: Publisher, load: Load, *, until: Callable[[], bool] | None = None, progress: bool = False
) -> int:
    """Publish a load, each message when it is due, and wait for all confirms.

    A publisher that cannot keep up publishes late, and leaves nothing out.

    Args:
        publisher: publishes the messages.
        load: the messages.
        until: asked before each message; when it says so, the rest is not published.
        progress: whether to show a progress bar.

    Returns:
        How many messages were published.

    Raises:
        BrokerError: as `Publisher.publish`.
    """
    before = publisher.published
    wanted: Iterable[int] = range(load.count)
    if until is not None:
        wanted = itertools.takewhile(lambda _: not until(), wanted)
    numbers = bar_of(wanted, "message", progress=progress)
    if load.rate_msg_s is None:
        publisher.publish_all(map(load.body, numbers))
    else:
        started_s = time.perf_counter()
        for number in numbers:
            due_s = started_s + number / load.rate_msg_s
            while (wait_s := due_s - time.perf_counter()) > 0:
                publisher.wait(wait_s)
            publisher.publish(load.body(number))
    publisher.flush()
    return publisher.published - before
