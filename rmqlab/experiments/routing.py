"""Which queue got which message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from pika.adapters.blocking_connection import BlockingChannel

CAUGHT = "●"


def table_of_keys(channel: BlockingChannel, keys: Sequence[str], queues: Mapping[str, str]) -> pd.DataFrame:
    """Empty queues, and show which of them got the message of each routing key.

    Each message's body is the routing key that it was published with. Publish with confirms,
    so that all of them are in their queues.

    Args:
        channel: an open channel.
        keys: the routing keys.
        queues: the name of each queue, by the name of its column, such as the pattern of its binding.

    Returns:
        One row a routing key, one column a queue: `●` if the queue had its message, else an
        empty string.
    """
    caught = {name: _take_all(channel, queue) for name, queue in queues.items()}
    return pd.DataFrame(
        {name: [CAUGHT if key.encode() in bodies else "" for key in keys] for name, bodies in caught.items()},
        index=pd.Index(keys, name="routing key"),
    )


def _take_all(channel: BlockingChannel, queue: str) -> set[bytes]:
    take = partial(channel.basic_get, queue, auto_ack=True)
    return {body for _, _, body in iter(take, (None, None, None))}
