"""What one publisher saw, and what one consumer saw: what a ledger is put together from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# How a delivery ended; 0 is not at all. Of several deliveries, the highest stands for the message.
REQUEUED, REJECTED, ACKED = 1, 2, 3
OUTCOMES = {"requeued": REQUEUED, "rejected": REJECTED, "acked": ACKED}

# What else is known of a message.
NACKED, RETURNED, REDELIVERED = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Published:
    """What one publisher saw; message i of the arrays has the number `first` + i.

    Attributes:
        name: who published.
        first: number of its first message.
        published_ns: when each message was handed over, in nanoseconds.
        answered_ns: when the broker confirmed or nacked it, in nanoseconds; 0 is never.
        flags: NACKED, RETURNED.
        foreign: how many messages came back to it that it had not published.
    """

    name: str
    first: int
    published_ns: Int64s
    answered_ns: Int64s
    flags: Bytes
    foreign: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """What one consumer saw, delivery by delivery.

    Attributes:
        name: who consumed.
        number: number of each message; below 0 for one that is not of the run.
        delivered_ns: when it was delivered, in nanoseconds.
        settled_ns: when it was acked, requeued or rejected, in nanoseconds; 0 is never.
        redelivered: 1 where the broker flagged it as a possible repetition.
        outcome: REQUEUED, REJECTED, ACKED, or 0 for none.
    """

    name: str
    number: Int64s
    delivered_ns: Int64s
    settled_ns: Int64s
    redelivered: Bytes
    outcome: Bytes
