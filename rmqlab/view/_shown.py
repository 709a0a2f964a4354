"""The part of a run that its replay shows, in columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rmqlab.measure._account import Account
from rmqlab.measure._recorders import ACKED, NACKED, REJECTED, RETURNED
from rmqlab.measure._report import held

# More would make the piece heavy: every second message is shown, or every third …
MOST_MESSAGES = 2_500
MOST_DELIVERIES = 2_500  # and when there are more than that, the rest of the run is left out
TICK_NS = 10_000
NEVER = -1
# How a delivery ended, in the columns: it did not, or its message went back to the queue, and so on.
OPEN, PUT_BACK, IS_REJECTED, IS_ACKED, CAME_BACK = range(5)


def shown_part(
    account: Account, queue_of: Sequence[int], special: Collection[int], started_ns: int, *, only_queue: bool
) -> tuple[dict[str, list[Any]], int, int]:
    """Choose what is shown of a run.

    Args:
        account: the outcome of each message.
        queue_of: for each of the account's consumers the place of its queue.
        special: numbers of the messages to be told from the others.
        started_ns: from when times count.
        only_queue: True if there is one queue: a message that nobody got was in it, too.

    Returns:
        The columns that the player takes, times in ticks: of each message and queue that it was in
        (number to marked), and of each delivery (row, which is its message's, to again); each how
        many-th message is shown; when the shown part ends, by the ledger's clock, 0 is the run's end.
    """
    deliveries, messages = held(account, queue_of), account.messages.rename_axis("number").reset_index()
    deliveries["end"] = np.select(
        [deliveries["came_back"], deliveries["outcome"] == ACKED, deliveries["outcome"] == REJECTED],
        [CAME_BACK, IS_ACKED, IS_REJECTED],
        np.where(deliveries["requeued"], PUT_BACK, OPEN),
    )
    every = -(-len(messages) // MOST_MESSAGES)
    messages = messages[messages["number"] % every == 0]
    deliveries = deliveries[deliveries["number"] % every == 0]
    copies = deliveries[["number", "queue"]].drop_duplicates()
    rows = messages[["number", "published_ns", "confirmed_ns", "flags"]].merge(copies, "left", on="number")
    rows["refused"] = np.where(rows["flags"] & RETURNED, 2, rows["flags"] & NACKED)
    rows["queue"] = rows["queue"].fillna(0 if only_queue else NEVER).astype(int)
    rows.loc[rows["refused"] > 0, "queue"] = NEVER
    until_ns = 0
    if len(deliveries) > MOST_DELIVERIES:
        until_ns = int(deliveries["delivered_ns"].nsmallest(MOST_DELIVERIES).iloc[-1])
        rows = rows[rows["published_ns"] <= until_ns].reset_index(drop=True)
        rows["confirmed_ns"] = rows["confirmed_ns"].where(rows["confirmed_ns"] <= until_ns, 0)
        deliveries = deliveries[deliveries["delivered_ns"] <= until_ns].copy()
        deliveries.loc[deliveries["until_ns"] > until_ns, ["until_ns", "end"]] = 0, OPEN
    rows["marked"] = rows["number"].isin(list(special)).astype(int)
    places = rows.reset_index(names="row")[["row", "number", "queue"]]
    deliveries = deliveries.merge(places, "left", on=["number", "queue"]).rename(
        columns={"redelivered": "again"}
    )
    columns = {
        **rows[["number", "queue", "published_ns", "confirmed_ns", "refused", "marked"]],
        **deliveries[["row", "consumer", "delivered_ns", "until_ns", "end", "again"]],
    }
    return (
        {
            name.removesuffix("_ns"): _times(values, started_ns) if name.endswith("_ns") else values.tolist()
            for name, values in columns.items()
        },
        every,
        until_ns,
    )


def _times(times_ns: pd.Series, started_ns: int) -> list[int | None]:
    return [ticks(each - started_ns) if each else None for each in times_ns.tolist()]


def ticks(span_ns: int) -> int:
    """Return a span of time in ticks."""
    return round(span_ns / TICK_NS)
