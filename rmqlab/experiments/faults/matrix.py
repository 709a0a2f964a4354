"""The matrix: each fault with each client on each type of queue, in turns."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from rmqlab.broker import OwnBroker
from rmqlab.broker._own_broker import require_own
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.faults.figures import plot_faults
from rmqlab.experiments.faults.kinds import FAULTS
from rmqlab.experiments.faults.trial import run_trial
from rmqlab.interrupts import deferred
from rmqlab.measure import provenance
from rmqlab.measure._bar import bar_of

# For each client: its module, which has the name of its library, and how many messages it leaves unconfirmed.
CLIENTS = {
    "rmqlab": ("rmqlab", 1),
    "rmqlab, window 100": ("rmqlab", 100),
    "aio-pika": ("aio_pika", 1),
    "kombu": ("kombu", 1),
}
QUEUE_TYPES = ("classic", "quorum")
MS = 3  # digits of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsConfig(Config):
    """Which faults happen, to which clients, and how often.

    Attributes:
        faults: names of faults, of `FAULTS`.
        clients: names of clients, of `CLIENTS`.
        queue_types: `classic`, `quorum` or both.
        repeats: how often each fault meets each client on each type of queue.
        csv: a file that is replaced, and takes each trial as soon as it is over.

    Raises:
        ValueError: there is no such fault, client or type of queue.
    """

    FULL: ClassVar[Mapping[str, Any]] = {
        "faults": tuple(FAULTS),
        "clients": tuple(CLIENTS),
        "queue_types": QUEUE_TYPES,
        "repeats": 3,
    }

    faults: tuple[str, ...] = ("dropped connections", "kill")
    clients: tuple[str, ...] = ("rmqlab", "aio-pika")
    queue_types: tuple[str, ...] = ("quorum",)
    repeats: int = 1
    csv: Path | str | None = None

    def __post_init__(self) -> None:
        for what, known in (("faults", FAULTS), ("clients", CLIENTS), ("queue_types", QUEUE_TYPES)):
            for name in getattr(self, what):
                if name not in known:
                    raise ValueError(f"{what} has {name!r}; it takes some of {', '.join(map(repr, known))}")


def break_everything(broker: OwnBroker, config: FaultsConfig | None = None) -> Result:
    """Break a broker under load, and see what its clients lose, repeat, and how fast they recover.

    In each trial a client publishes persistent messages to a durable queue until they are confirmed,
    and consumes and acknowledges them, while a fault happens. All combinations take their turn before
    any is repeated.

    Args:
        broker: a broker of one's own: `start_broker(own=True)`.
        config: what is to happen; if None, `FaultsConfig.quick()`.

    Returns:
        One row a trial:

        - client, fault, queue_type, repeat: which it was
        - published, confirmed: messages, each counted once
        - lost_confirmed: confirmed, and never delivered; without those of gone_with_queue
        - gone_with_queue: confirmed, and never delivered, as their queue was deleted with them in it,
          or did not exist
        - duplicated: messages delivered more than once
        - redelivered: deliveries that the broker flagged as possible repetitions
        - republished: how often the publisher sent a message once more
        - unconfirmed: messages without a confirm at the end
        - hung: whether the client did not recover, or left something undone
        - error: what ended the client; empty if nothing did
        - outage_s: for how long the broker was away, in seconds
        - recover_publish_s: from when the broker was back until the first confirm, in seconds; for a
          fault without length, the longest time without a confirm from the fault on; NaN if there
          was none
        - recover_consume_s: the same for deliveries
        - version: of the client's library

    Raises:
        BrokerError: the broker does not come back.
        FaultError: the broker is not ours to break.
        OSError: the file cannot be written.
        ImportError: a client library is not installed.
    """
    broker = require_own(broker, given_to="break_everything")
    config = config or FaultsConfig.quick()
    modules = {name: import_module(f"{__package__}.{CLIENTS[name][0]}") for name in config.clients}
    environment = provenance(broker)
    # Each once, before any is repeated.
    repeats = range(1, config.repeats + 1)
    turns = list(itertools.product(repeats, config.faults, config.clients, config.queue_types))
    rows: list[dict[str, Any]] = []
    _keep(config.csv, pd.DataFrame())  # better that it fails now
    with contextlib.ExitStack() as stack, bar_of(turns, "trial", progress=True) as bar:
        # All libraries log the faults that are made on purpose.
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        for repeat, fault, client, queue_type in bar:
            bar.set_description(f"{fault}: {client}")
            library, window = CLIENTS[client]
            which = {"client": client, "fault": fault, "queue_type": queue_type, "repeat": repeat}
            trial = run_trial(broker, modules[client], FAULTS[fault], queue_type, window=window)
            rows.append({**which, **trial, "version": version(library)})
            _keep(config.csv, pd.DataFrame(rows).round(MS).assign(**environment))
    return Result(pd.DataFrame(rows).round(MS), plot_faults, environment)


def _keep(csv: Path | str | None, frame: pd.DataFrame) -> None:
    """Write all trials so far; an interrupt comes before or after it."""
    if csv is not None:
        with deferred:
            frame.to_csv(csv, index=False, lineterminator="\n")
