"""A recorded run, with what its ledger does not know: where its messages went, and what happened to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rmqlab.measure import Ledger


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in a run, other than to a message.

    Attributes:
        at_ns: when, by the ledger's clock.
        words: what happened, in a few words, such as `worker-2 crashes`.
        consumer: who ended by it; empty if nobody did.
        connects: True if this consumer connected by it instead.
    """

    at_ns: int
    words: str
    consumer: str = ""
    connects: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A recorded run that can be replayed.

    Attributes:
        ledger: what happened to each message.
        queues: for each consumer's name the name of its queue; `nobody` has one without a consumer.
        exchange: what the messages were published to; empty is the default exchange.
        started_ns: the zero of the times in the run's frames, by the ledger's clock; 0 is the
            first publishing.
        marks: what else happened.
        passing: the queues that come and go with their consumer.
        special: numbers of the messages to be told from the others.
        special_words: what they are, such as `high priority`.
    """

    ledger: Ledger
    queues: Mapping[str, str]
    exchange: str = ""
    started_ns: int = 0
    marks: Sequence[Mark] = ()
    passing: Collection[str] = ()
    special: Collection[int] = ()
    special_words: str = ""
