"""What recorders saw, put together by message, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rmqlab.measure._recorders import (
    ACKED,
    CONSUMED,
    NACKED,
    PUBLISHED,
    REJECTED,
    REQUEUED,
    RETURNED,
    ConsumeRecorder,
    PublishRecorder,
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in a run, in counts. Messages that are not of the run count as nothing.

    Attributes:
        published: messages handed to the broker.
        confirmed: messages that the broker confirmed, those that it returned included.
        nacked: messages that the broker refused.
        returned: messages that came back, as no queue was there for them.
        received: deliveries.
        unique: messages delivered at least once.
        redelivered: deliveries that the broker flagged as possible repetitions.
        duplicated: messages delivered more than once.
        acked: deliveries acknowledged.
        rejected: deliveries rejected: dropped, or dead-lettered.
        requeued: deliveries put back into their queue.
        lost_confirmed: confirmed, not returned, and not delivered (so far).
        lost_unconfirmed: published, neither confirmed nor nacked nor returned, and not
            delivered (so far).

    A message that waits in its queue is not delivered so far: `lost_confirmed` and
    `lost_unconfirmed` are what their names say once the queue is empty.
    """

    published: int
    confirmed: int
    nacked: int
    returned: int
    received: int
    unique: int
    redelivered: int
    duplicated: int
    acked: int
    rejected: int
    requeued: int
    lost_confirmed: int
    lost_unconfirmed: int


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """The outcome of each message of a run, as frames.

    Times are nanoseconds of the ledger's clock; 0 stands for never.

    Attributes:
        messages: one row a published message, with its number as index: published_ns, flags (of
            NACKED, RETURNED), confirmed_ns, delivered_ns (first), settled_ns (last), deliveries,
            consumer (place in `consumers` of the last to be handed it; -1 is none), outcome (the
            highest of ACKED, REJECTED, REQUEUED that a delivery had, or 0).
        deliveries: one row a delivery of these, in the order of time: delivered_ns, settled_ns,
            outcome, redelivered (1 if flagged), number, consumer.
        consumers: names.
    """

    messages: pd.DataFrame
    deliveries: pd.DataFrame
    consumers: tuple[str, ...]

    @classmethod
    def of(cls, publisher: PublishRecorder | None, consumers: Sequence[ConsumeRecorder]) -> Account:
        """Put together what recorders saw."""
        # In this order: while recorders write, what was delivered has been published, too.
        tables = [each.rows() for each in consumers] or [np.zeros(0, CONSUMED)]
        messages = pd.DataFrame(np.zeros(0, PUBLISHED) if publisher is None else publisher.rows())

        deliveries = pd.concat(pd.DataFrame(rows).assign(consumer=place) for place, rows in enumerate(tables))
        is_of_run = deliveries["number"].between(0, len(messages) - 1)
        deliveries = deliveries[is_of_run].sort_values("delivered_ns", kind="stable", ignore_index=True)
        seen = deliveries.groupby("number").agg(
            delivered_ns=("delivered_ns", "first"),
            settled_ns=("settled_ns", "max"),
            deliveries=("number", "size"),
            consumer=("consumer", "last"),
            outcome=("outcome", "max"),
        )
        messages["confirmed_ns"] = messages.pop("answered_ns").where(messages["flags"] & NACKED == 0, 0)
        messages = messages.join(seen.reindex(messages.index, fill_value=0))
        messages["consumer"] = messages["consumer"].where(messages["deliveries"] > 0, -1)
        return cls(messages, deliveries, tuple(each.name for each in consumers))

    def totals(self) -> Totals:
        """Count what happened."""
        messages, outcome = self.messages, self.deliveries["outcome"]
        is_confirmed = messages["confirmed_ns"] > 0
        is_undelivered = messages["deliveries"] == 0
        is_returned = (messages["flags"] & RETURNED) > 0
        is_answered = is_confirmed | (messages["flags"] > 0)
        return Totals(
            published=len(messages),
            confirmed=_count(is_confirmed),
            nacked=_count(messages["flags"] & NACKED),
            returned=_count(is_returned),
            received=len(outcome),
            unique=_count(~is_undelivered),
            redelivered=_count(self.deliveries["redelivered"]),
            duplicated=_count(messages["deliveries"] > 1),
            acked=_count(outcome == ACKED),
            rejected=_count(outcome == REJECTED),
            requeued=_count(outcome == REQUEUED),
            lost_confirmed=_count(is_confirmed & ~is_returned & is_undelivered),
            lost_unconfirmed=_count(~is_answered & is_undelivered),
        )


def _count(flags: pd.Series) -> int:
    return int(np.count_nonzero(flags))
