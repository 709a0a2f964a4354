"""The matrix: each fault with each client on each type of queue, in turns."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import logging
import random
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from rmqlab.broker import OwnBroker
from rmqlab.broker._own_broker import require_own
from rmqlab.errors import DataError, RmqlabError
from rmqlab.experiments._result import Result
from rmqlab.experiments.faults._figures import plot_faults
from rmqlab.experiments.faults._kinds import FAULTS
from rmqlab.experiments.faults._trial import run_trial
from rmqlab.interrupts import deferred
from rmqlab.measure import provenance

if TYPE_CHECKING:
    import pandas as pd

# For each client: its library, the module here that uses it, and how many messages it leaves unconfirmed.
CLIENTS = {
    "rmqlab": ("rmqlab", "_rmqlab", 1),
    "rmqlab, window 100": ("rmqlab", "_rmqlab", 100),
    "aio-pika": ("aio-pika", "_aio_pika", 1),
    "kombu": ("kombu", "_kombu", 1),
}
QUEUE_TYPES = ("classic", "quorum")
# All of them log the faults that are made on purpose.
LOGGERS = ("pika", "aio_pika", "aiormq", "kombu", "amqp", "asyncio", "rmqlab.amqp", "rmqlab.broker")
MS = 3  # digits of a second


@dataclass(frozen=True, slots=True)
class FaultsConfig:
    """What is to break, who is to endure it, and how.

    Attributes:
        faults: names of faults, of `FAULTS`.
        clients: names of clients, of `CLIENTS`.
        queue_types: `classic`, `quorum` or both.
        repeats: how often each fault meets each client on each type of queue.
        csv: a file that is replaced, and takes each trial as soon as it is over.

    Raises:
        ValueError: there is no such fault, client or type of queue, or no repeat.
    """

    faults: tuple[str, ...] = tuple(FAULTS)
    clients: tuple[str, ...] = tuple(CLIENTS)
    queue_types: tuple[str, ...] = QUEUE_TYPES
    repeats: int = 3
    csv: Path | str | None = None

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}; it goes from 1")
        for what, known in (("faults", FAULTS), ("clients", CLIENTS), ("queue_types", QUEUE_TYPES)):
            for name in getattr(self, what):
                if name not in known:
                    raise ValueError(f"{what} has {name!r}; it takes some of {', '.join(map(repr, known))}")

    @classmethod
    def quick(cls, **changes: Any) -> FaultsConfig:
        """Return what takes half a minute: two faults and two clients, on quorum queues, once."""
        few = cls(("dropped connections", "kill"), ("rmqlab", "aio-pika"), ("quorum",), 1)
        return replace(few, **changes)

    @classmethod
    def full(cls, **changes: Any) -> FaultsConfig:
        """Return what makes the reference run, in three quarters of an hour: everything, three times."""
        return cls(**changes)


def break_everything(
    broker: OwnBroker, config: FaultsConfig | None = None, *, progress: bool = True
) -> Result:
    """Break a broker under load, and see what its clients lose, repeat, and how fast they recover.

    In each trial a client publishes persistent messages to a durable queue until they are confirmed,
    and consumes and acknowledges them, while a fault happens. Trials take turns in a random order.

    Args:
        broker: a broker of one's own: `start_broker(own=True)`.
        config: what is to happen; if None, `FaultsConfig.quick()`.
        progress: whether to show a progress bar.

    Returns:
        One row a trial, in the order of the configuration:

        - client, fault, queue_type, repeat: which it was
        - published, confirmed: messages, each counted once
        - lost_confirmed: confirmed, and never delivered; without those of gone_with_queue
        - gone_with_queue: confirmed, and never delivered, as their queue was deleted with them in it,
          or was not there
        - duplicated: messages delivered more than once
        - redelivered: deliveries that the broker flagged as possible repetitions
        - republished: how often the publisher sent a message once more
        - unconfirmed: messages without a confirm at the end
        - hung: whether the client did not recover, or left something undone
        - error: what ended the client; empty if nothing did
        - outage_s: for how long the broker was not there, in seconds
        - recover_publish_s: from when the broker was back until the first confirm, in seconds; for a
          fault without length, the longest time without a confirm from the fault on; NaN if there
          was none
        - recover_consume_s: the same for deliveries
        - version: of the client's library

    Raises:
        BrokerError: the broker does not come back.
        FaultError: the broker is not ours to break.
        DataError: the file cannot be written.
        RmqlabError: a client library is not installed.
    """
    import pandas as pd

    broker = require_own(broker, given_to="break_everything")
    config = config or FaultsConfig.quick()
    modules = {name: _load(name) for name in config.clients}
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    where = {**provenance(broker), "source": broker.source, "date": date}
    cells = list(itertools.product(config.faults, config.clients, config.queue_types))
    shuffle = random.Random(1).sample  # noqa: S311 the order of turns is no secret
    turns = [(*cell, number + 1) for number in range(config.repeats) for cell in shuffle(cells, len(cells))]
    rows: dict[tuple[str, str, str, int], dict[str, Any]] = {}

    def to_frame() -> pd.DataFrame:
        return pd.DataFrame([rows[cell] for cell in sorted(rows, key=lambda cell: cells.index(cell[:3]))])

    _keep(config.csv, to_frame())  # better that it fails now
    with (
        contextlib.ExitStack() as stack,
        tqdm(turns, unit="trial", file=sys.stdout, disable=not progress) as bar,
    ):
        for logger in map(logging.getLogger, LOGGERS):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        for cell in bar:
            fault, client, queue_type, repeat = cell
            bar.set_description(f"{fault}: {client}")
            library, _, window = CLIENTS[client]
            trial = run_trial(broker, modules[client], FAULTS[fault], queue_type, window=window)
            which = {"client": client, "fault": fault, "queue_type": queue_type, "repeat": repeat}
            rows[cell] = {**which, **trial, "version": version(library)}
            _keep(config.csv, to_frame().round(MS).assign(**where))
    return Result(to_frame().round(MS), plot_faults, where)


def _load(client: str) -> Any:
    """Import what uses a client library, before threads do."""
    library, module, _ = CLIENTS[client]
    try:
        return import_module(f"rmqlab.experiments.faults.{module}")
    except ImportError as error:
        raise RmqlabError(f"{library} is not installed. Next: pip install 'rmqlab[bench]'") from error


def _keep(csv: Path | str | None, frame: pd.DataFrame) -> None:
    """Write all trials so far; an interrupt comes before or after it."""
    if csv is None:
        return
    try:
        with deferred:
            frame.to_csv(csv, index=False, lineterminator="\n")
    except OSError as error:
        raise DataError(f"{csv} cannot be written ({error}). Next: name another file") from error
