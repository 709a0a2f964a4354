"""The rows that recorders write, and the codes in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Table = npt.NDArray[np.void]

# The outcome of a delivery; 0 is none so far. Of several deliveries, the highest stands for the message.
REQUEUED, REJECTED, ACKED = 1, 2, 3
OUTCOMES = {"requeued": REQUEUED, "rejected": REJECTED, "acked": ACKED}

# What else is known of a message.
NACKED, RETURNED = 1, 2

# Times are nanoseconds of the ledger's clock; 0 is never. 17 bytes a message, 26 a delivery.
PUBLISHED = np.dtype([("published_ns", "<i8"), ("answered_ns", "<i8"), ("flags", "u1")])
CONSUMED = np.dtype(
    [
        ("delivered_ns", "<i8"),
        ("settled_ns", "<i8"),
        ("outcome", "u1"),
        ("redelivered", "u1"),
        ("number", "<i8"),
    ]
)
