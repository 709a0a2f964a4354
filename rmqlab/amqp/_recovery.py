"""When and how a lost connection is opened again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rmqlab.broker._connection import NOT_FOUND
from rmqlab.errors import (
    BrokerError,
    BrokerRefusedError,
    ChannelClosedError,
    ConnectionLostError,
    ConsumerCancelledError,
    StoppedError,
    TopologyMismatchError,
)

EventKind = Literal["lost", "cancelled", "retrying", "recovered", "given up", "blocked", "unblocked"]


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """A step in the life of a connection.

    Attributes:
        kind: `lost` (the connection broke), `cancelled` (the consumer's queue is gone), `retrying`
            (an attempt failed), `recovered`, `given up`, `blocked` (the broker takes no messages for
            now), `unblocked`.
        name: the connection's name.
        detail: the reason of a loss, or the count of what was published again.
        messages: identities of the messages that a consumer held unacknowledged when the connection
            was lost. They come again if their queue is still there.
        at_ns: when, in nanoseconds of `time.perf_counter_ns`, the ledger's clock.
    """

    kind: EventKind
    name: str
    detail: str = ""
    messages: tuple[str | None, ...] = ()
    at_ns: int = field(default_factory=time.perf_counter_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a connection is opened, and opened again when it is lost.

    After a failed attempt it waits a random time, up to a limit that doubles from `first_wait_s`
    to `longest_wait_s`, so that the clients of a broker do not all return at once. An error that
    no attempt can mend ends it: a wrong password, an unknown virtual host, a topology mismatch.

    Attributes:
        first_wait_s: longest wait after the first attempt, in seconds.
        longest_wait_s: longest wait after any attempt, in seconds.
        timeout_s: give up after so many seconds without success.
        heartbeat_s: heartbeat time-out, in seconds. Each side sends a heartbeat every half of it,
            and counts the other as lost when about two are missing. None takes the URL's, or
            else the broker's, which is 60; to a `Broker` of the lab there are none.
        on_event: receives every step, in the thread of the publisher or consumer.

    Raises:
        ValueError: a time is out of range.

    Sources: https://www.rabbitmq.com/client-libraries/java-api-guide#recovery,
    https://www.rabbitmq.com/docs/heartbeats,
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first_wait_s: float = 0.1
    longest_wait_s: float = 2.0
    timeout_s: float = 120.0
    heartbeat_s: int | None = None
    on_event: Callable[[ConnectionEvent], object] | None = None

    def __post_init__(self) -> None:
        for name in ("first_wait_s", "longest_wait_s", "timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")


def can_recover(error: Exception) -> bool:
    """Return True if a new connection makes good what went wrong with an old one."""
    if isinstance(error, ChannelClosedError):
        # The broker takes a channel away from a consumer that holds a message for too long.
        return "timed out" in error.reply_text
    return isinstance(error, ConnectionLostError | ConsumerCancelledError)


def may_pass(error: BaseException) -> bool:
    """Return True if another attempt may do better."""
    if isinstance(error, ChannelClosedError):
        return error.reply_code == NOT_FOUND  # somebody may declare it, or its node come back
    final = BrokerRefusedError | TopologyMismatchError | StoppedError
    return isinstance(error, BrokerError) and not isinstance(error, final)
