"""What survives when a broker is killed: by kind of queue, of message, and of confirms."""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pika
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from rmqlab.amqp import Confirms, Publisher, Queue, Topology, connect
from rmqlab.broker import QUEUE_METADATA_FLUSH_S, Broker
from rmqlab.errors import BrokerError, ConnectionLostError, StoppedError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.figures import COLORS, name_rows, new_figure
from rmqlab.interrupts import wait_until
from rmqlab.measure import Ledger, Load, provenance, publish_load
from rmqlab.measure._bar import bar_of
from rmqlab.measure._recorders import NACKED, RETURNED

# More than any fault takes: then publishing ends by itself.
LONGEST_S = 120
# A broker that is back takes connections before all of its queues are back.
READY_TIMEOUT_S = 30
LOOK_EVERY_S = 0.1
NO_QUEUE = "no queue"
NOTHING, SOME, ALL, REFUSED = COLORS[1], "#F6C9AC", COLORS[0], "0.9"
DARK = 0.5  # light of a color below which white is readable on it

logger = logging.getLogger("rmqlab.experiments")


@dataclass(frozen=True, slots=True, kw_only=True)
class DurabilityConfig(Config):
    """Which queues, messages and confirms are combined, and what happens to them.

    Attributes:
        queues: the kinds of queues by name. Each combination has a queue of its own, whose name
            begins with that of its kind.
        messages: the properties of messages by name, such as their delivery mode.
        confirms: how publishers wait for confirms, by name.
        fault: what happens to the broker, such as its `kill`; returns when the broker is back.
        rate_msg_s: what each publishes, in messages per second.
        for_s: how long all publish before the fault, in seconds.
    """

    queues: Mapping[str, Queue]
    messages: Mapping[str, pika.BasicProperties]
    confirms: Mapping[str, Confirms]
    fault: Callable[[], object]
    rate_msg_s: float = 200
    for_s: float = 1.5
    FULL: ClassVar = {"for_s": 10}


def measure_durability(broker: Broker, config: DurabilityConfig, *, progress: bool = True) -> Result:
    """Let a fault happen while messages are published, and count which of them are there afterwards.

    Each combination of queue, message and confirms has a queue and a publisher of its own, and all
    publish at once. A publisher ends with its connection, and makes no other. Publishing begins
    when the queues are old enough for the broker to have written them down. The queues are
    deleted in the end.

    Args:
        broker: a running broker.
        config: what is combined, and what happens.
        progress: whether to show a progress bar.

    Returns:
        One row a combination: queue, message, confirms; published; presumed_safe, the messages
        that their publisher had to take for safe: the confirmed ones, or all if it asks for no
        confirms; survived and lost, of these; in_doubt, the others. A queue that this RabbitMQ
        refuses, as newer ones may refuse queues that are neither durable nor exclusive, has zeros.

    Raises:
        BrokerError: a durable queue was refused, or all queues; or a publisher failed otherwise
            than by the loss of its connection.

    Source: https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed
    """
    load = Load(int(config.rate_msg_s * LONGEST_S), rate_msg_s=config.rate_msg_s)
    flows = [
        _Flow(
            {"queue": queue, "confirms": confirms, "message": message},
            broker,
            # A new name each time: RabbitMQ 3.10 may not bring back, after a kill, a quorum queue
            # that has the name of one that was deleted.
            replace(config.queues[queue], name=f"{config.queues[queue].name}:{secrets.token_hex(4)}"),
            config.messages[message],
            config.confirms[confirms],
            load.again(),
        )
        for queue, confirms, message in itertools.product(config.queues, config.confirms, config.messages)
    ]
    with bar_of(range(4), "step", progress=progress) as bar:
        try:
            declared = [flow for flow in flows if flow.declare()]
            if not declared:
                raise BrokerError("The broker refuses all of these queues. Next: give a durable one")
            time.sleep(QUEUE_METADATA_FLUSH_S)
            bar.update()
            with WorkerPool(len(declared), lambda number: declared[number].connect()) as pool:
                pool.begin()
                time.sleep(config.for_s)
                pool.check()
                bar.update()
                config.fault()
            pool.check()
            bar.update()
            rows = pd.DataFrame([flow.row() for flow in flows])
            bar.update()
        finally:
            with contextlib.suppress(BrokerError):
                Topology(queues=tuple(flow.queue for flow in flows)).delete(broker)
    return Result(rows, plot_durability, provenance(broker))


@dataclass(slots=True)
class _Flow:
    """One combination: its queue, its publisher, and the outcome of its messages."""

    names: Mapping[str, str]
    broker: Broker
    queue: Queue
    properties: pika.BasicProperties
    confirms: Confirms
    load: Load
    ledger: Ledger = field(default_factory=Ledger)
    publisher: Publisher = field(init=False)

    def declare(self) -> bool:
        """Declare the queue; return True if the broker took it."""
        try:
            Topology(queues=(self.queue,)).declare(self.broker)
        except BrokerError as error:
            if self.queue.durable:
                raise
            logger.warning("no queue %s: %s", self.queue.name, error)
            return False
        return True

    def connect(self) -> _Flow:
        self.publisher = Publisher(
            self.broker,
            routing_key=self.queue.name,
            confirms=self.confirms,
            properties=self.properties,
            observer=self.ledger.publisher(identify=self.load.identify),
        )
        return self

    def run(self) -> None:
        """Publish until the connection is lost, or until stopped."""
        with contextlib.suppress(ConnectionLostError, StoppedError):
            publish_load(self.publisher, self.load)

    def stop(self) -> None:
        self.publisher.stop()

    def close(self) -> None:
        with contextlib.suppress(BrokerError):  # the connection is lost: that is what is measured
            self.publisher.close()

    def row(self) -> dict[str, Any]:
        """Take out what is in the queue, and compare it with what was published."""
        seen = self.ledger.account().messages
        is_there = seen.index.isin(self._take())
        is_refused = (seen["flags"] & (NACKED | RETURNED)) > 0
        is_presumed_safe = (seen["confirmed_ns"] > 0) & ~is_refused
        if self.confirms.limit is None:  # it asks for no confirms
            is_presumed_safe[:] = True
        return {
            **self.names,
            "published": len(seen),
            "presumed_safe": int(is_presumed_safe.sum()),
            "survived": int((is_presumed_safe & is_there).sum()),
            "lost": int((is_presumed_safe & ~is_there).sum()),
            "in_doubt": int((~is_presumed_safe).sum()),
        }

    def _take(self) -> list[int]:
        """Take all messages out, one by one: the broker says itself when there is none left."""
        numbers: list[int] = []

        def take_all() -> bool:
            try:
                with connect(self.broker) as connection:
                    channel = connection.channel()
                    while (got := channel.basic_get(self.queue.name, auto_ack=True))[0] is not None:
                        numbers.append(self.load.identify(got[1], got[2]))
            except (ChannelClosedByBroker, ConnectionClosedByBroker) as error:
                return NO_QUEUE in error.reply_text
            return True

        if not wait_until(take_all, READY_TIMEOUT_S, every_s=LOOK_EVERY_S):
            raise BrokerError(
                f"The queue {self.queue.name!r} is not back after {READY_TIMEOUT_S} s. "
                "Next: see the broker's log"
            )
        return numbers


def plot_durability(rows: pd.DataFrame) -> Figure:
    """Draw what survived: a row for each queue, a column for each message and confirms."""
    table = rows.assign(cell=rows.apply(_cell, axis="columns"))
    table["column"] = table["message"] + "\n" + table["confirms"].replace("none", "no confirms")
    columns, queues = list(table["column"].unique()), list(rows["queue"].unique())
    kept = rows[(rows["lost"] == 0) & (rows["survived"] > 0)]
    title = f"{len(kept)} of {len(rows)} combinations lose nothing"
    if kept["confirms"].nunique() == 1 and "none" not in set(kept["confirms"]):
        title += f", and all of these are {kept['confirms'].iloc[0]}"
    cells = table.pivot(index="queue", columns="column", values="cell").loc[queues, columns].to_numpy()
    colors = np.array([[to_rgb(color) for _, color in row] for row in cells])
    with new_figure(1, 1) as (figure, (axes,)):
        edges = [np.arange(count + 1) - 0.5 for count in (len(columns), len(queues))]
        axes.pcolormesh(*edges, colors, edgecolor="white", linewidth=4)
        for row, column in np.ndindex(cells.shape):
            color = "white" if colors[row, column].mean() < DARK else "0.15"
            axes.text(column, row, cells[row, column][0], ha="center", va="center", color=color)
        name_rows(axes, queues)
        axes.set_xticks(range(len(columns)), columns)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="message, and what its publisher knows", ylabel="queue")
        axes.set_title(title)
    return figure


def _cell(row: pd.Series) -> tuple[str, str]:
    """Return what is written in a cell, and its color."""
    if not row["presumed_safe"]:
        return "refused", REFUSED
    survived = f"{row['survived']:,} of {row['presumed_safe']:,}\n"
    if not row["lost"]:
        return survived + "nothing lost", ALL
    return f"{survived}{row['lost']:,} lost", SOME if row["survived"] else NOTHING
