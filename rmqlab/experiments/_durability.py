"""What survives when a broker is killed: by kind of queue, of message, and of confirms."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pika
from pika import exceptions as amqp_errors
from tqdm import tqdm

from rmqlab.amqp import Confirms, Publisher, Queue, Topology, connect
from rmqlab.broker import QUEUE_METADATA_FLUSH_S, Broker
from rmqlab.errors import BrokerError, ConnectionLostError, StoppedError
from rmqlab.experiments._pool import WorkerPool
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import Load, publish_load
from rmqlab.measure._report import provenance
from rmqlab.measure._snapshots import NACKED, RETURNED

# More than any fault takes: then publishing ends by itself.
LONGEST_S = 120
LOOK_EVERY_S = 0.001
# A broker that is back takes connections before all of its queues are back.
READY_LIMIT_S = 30
LOOK_AGAIN_S = 0.1
NO_QUEUE = "no queue"

logger = logging.getLogger("rmqlab.measure")
T = TypeVar("T")


def measure_durability(
    broker: Broker,
    fault: Callable[[], object],
    *,
    queues: Mapping[str, Queue],
    messages: Mapping[str, pika.BasicProperties],
    confirms: Mapping[str, Confirms],
    rate_msg_s: float = 200,
    for_s: float = 1.5,
    progress: bool = True,
) -> pd.DataFrame:
    """Let a fault happen while messages are published, and count which of them are there afterwards.

    Each combination of queue, message and confirms has a queue and a publisher of its own,
    and all of them publish at once. A publisher ends with its connection, and makes no other.
    Publishing begins when the queues are old enough for the broker to have written them down.

    Args:
        broker: a broker of one's own.
        fault: what happens to it, such as `broker.kill`; returns when the broker is back.
        queues: the kinds of queues by name; of each, as many are declared as there are
            combinations, under names that begin with its own. They are deleted afterwards.
        messages: the properties of messages by name, such as their delivery mode.
        confirms: how publishers wait for confirms, by name.
        rate_msg_s: what each publishes, in messages per second.
        for_s: how long they publish before the fault, in seconds.
        progress: whether to show a progress bar.

    Returns:
        One row a combination: queue, message, confirms; published; presumed_safe, the messages that
        their publisher had to take for safe: the confirmed ones, or all if it asks for no
        confirms; survived and lost, of these; in_doubt, those that it knows to be
        unconfirmed; and where it was measured. A queue that this RabbitMQ refuses, as newer
        ones may refuse queues that are neither durable nor exclusive, has nothing but zeros.

    Raises:
        BrokerError: a durable queue was refused, or all queues; or a publisher failed otherwise
            than by the loss of its connection.

    Source: https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed
    """
    choices = itertools.product(queues.items(), messages.items(), confirms.items())
    flows = [_Flow(broker, *choice, rate_msg_s=rate_msg_s) for choice in choices]
    topology = Topology(queues=tuple(flow.queue for flow in flows))
    with tqdm(total=4, unit="step", file=sys.stdout, disable=not progress) as bar, _deleted(topology, broker):
        bar.set_description("declare")
        declared = [flow for flow in flows if flow.declare()]
        if not declared:
            raise BrokerError("The broker refuses all of these queues. Next: give a durable one")
        time.sleep(QUEUE_METADATA_FLUSH_S)
        bar.update()
        bar.set_description("publish")
        with WorkerPool(len(declared), lambda number: declared[number].open()) as pool:
            pool.begin()
            time.sleep(for_s)
            pool.check()
            bar.update()
            bar.set_description("break")
            fault()
        pool.check()
        bar.update()
        bar.set_description("count")
        rows = [flow.row() for flow in flows]
        bar.update()
    return pd.DataFrame(rows).assign(**provenance(broker))


class _Flow:
    """One combination: its queue, its publisher, and the outcome of its messages."""

    def __init__(
        self,
        broker: Broker,
        queue: tuple[str, Queue],
        message: tuple[str, pika.BasicProperties],
        confirms: tuple[str, Confirms],
        *,
        rate_msg_s: float,
    ) -> None:
        self._broker = broker
        self._names = {"queue": queue[0], "message": message[0], "confirms": confirms[0]}
        # A new name each time: RabbitMQ 3.10 may not bring back, after a kill, a quorum queue
        # that has the name of one that was deleted.
        name = ":".join((queue[1].name, message[0], confirms[0], secrets.token_hex(4)))
        self.queue = dataclasses.replace(queue[1], name=name)
        self._properties = message[1]
        self._confirms = confirms[1]
        self._load = Load(int(rate_msg_s * LONGEST_S), rate_msg_s=rate_msg_s)
        self._ledger = Ledger()

    def declare(self) -> bool:
        """Declare the queue; say whether the broker took it."""
        try:
            Topology(queues=(self.queue,)).declare(self._broker)
        except BrokerError as error:
            if self.queue.durable:
                raise
            logger.warning("no queue %s: %s", self.queue.name, error)
            return False
        return True

    def open(self) -> _Stream:
        """Connect a publisher."""
        publisher = Publisher(
            self._broker,
            routing_key=self.queue.name,
            confirms=self._confirms,
            properties=self._properties,
            observer=self._ledger.publisher(identify=self._load.identify),
            name=self.queue.name,
        )
        return _Stream(publisher, self._load)

    def row(self) -> dict[str, Any]:
        """Take out what is in the queue, and say the outcome of what was published."""
        seen = self._ledger.account().messages
        is_there = np.isin(seen["number"], self._take())
        refused = (seen["flags"] & (NACKED | RETURNED)) > 0
        asks = self._confirms.limit is not None
        presumed_safe = (seen["confirmed_ns"] > 0) & ~refused if asks else np.ones(len(seen), np.bool_)
        return {
            **self._names,
            "published": len(seen),
            "presumed_safe": int(presumed_safe.sum()),
            "survived": int((presumed_safe & is_there).sum()),
            "lost": int((presumed_safe & ~is_there).sum()),
            "in_doubt": int((~presumed_safe).sum()),
        }

    def _take(self) -> list[int]:
        """Take all messages out, one by one: the broker says itself when there is none left."""
        numbers: list[int] = []
        deadline_s = time.monotonic() + READY_LIMIT_S
        while True:
            connection = connect(self._broker)
            try:
                channel = connection.channel()
                while (got := channel.basic_get(self.queue.name, auto_ack=True))[0] is not None:
                    numbers.append(self._load.identify(got[1], got[2]))
                return numbers
            except (amqp_errors.ChannelClosedByBroker, amqp_errors.ConnectionClosedByBroker) as error:
                if NO_QUEUE in error.reply_text:
                    return numbers
                if time.monotonic() > deadline_s:
                    raise BrokerError(
                        f"The queue {self.queue.name!r} is not back after {READY_LIMIT_S} s "
                        f"({error.reply_text}). Next: see the broker's log"
                    ) from error
                time.sleep(LOOK_AGAIN_S)
            finally:
                if connection.is_open:
                    connection.close()


@dataclass(slots=True)
class _Stream:
    """Publishes until its connection is lost, or it is stopped."""

    publisher: Publisher
    load: Load

    def run(self) -> None:
        with contextlib.suppress(ConnectionLostError, StoppedError):
            publish_load(self.publisher, self.load)

    def stop(self) -> None:
        self.publisher.stop()

    def close(self) -> None:
        with contextlib.suppress(BrokerError):  # the connection is lost: that is what is measured
            self.publisher.close()


@contextlib.contextmanager
def _deleted(topology: Topology, broker: Broker) -> Iterator[None]:
    """See to it that queues are not there after a block, if the broker is."""
    try:
        yield
    finally:
        with contextlib.suppress(BrokerError):
            topology.delete(broker)
