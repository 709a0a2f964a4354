"""When either side of a connection notices that the network between them is cut."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from rmqlab.amqp import ConnectionEvent, Consumer, Publisher, Queue, Recovery, Topology, purge
from rmqlab.broker import Broker, Link
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.interrupts import wait_until
from rmqlab.measure import provenance

DELIVERY_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatConfig(Config):
    """Which heartbeats are tried, and for how long the network is cut.

    Attributes:
        heartbeats_s: heartbeat time-outs, in seconds.
        within_s: how long the network stays cut, in seconds.
    """

    heartbeats_s: Sequence[int] = (2, 60)
    within_s: float = 18
    FULL: ClassVar = {"heartbeats_s": (2, 5, 10, 30, 60), "within_s": 240}


def measure_partition_detection(broker: Broker, config: HeartbeatConfig) -> Result:
    """Cut the network between workers and their broker, and see when either side notices.

    For each heartbeat, a worker holds a task that it has got over a link. The link is cut without
    a word to either side. Another worker, with a connection of its own to the broker, gets the
    task when the broker has given up the first one.

    Args:
        broker: a running broker.
        config: what is tried.

    Returns:
        One row a heartbeat: heartbeat_s, task_moved_s (until the other worker had the task),
        worker_noticed_s (until the first one knew that its connection was lost), in seconds; NaN
        for what did not happen within the time.

    Raises:
        BrokerError: as `Consumer`.
    """
    with Link(broker) as link:
        tasks = [_HeldTask(broker, link, heartbeat_s) for heartbeat_s in config.heartbeats_s]
        with (
            WorkerPool(len(tasks), lambda number: tasks[number].connect_holder()) as holders,
            WorkerPool(len(tasks), lambda number: tasks[number].connect_other()) as others,
            contextlib.ExitStack() as stack,
        ):
            for each in tasks:
                stack.callback(each.released.set)
            holders.begin()
            if not all(each.held.wait(DELIVERY_TIMEOUT_S) for each in tasks):
                raise BrokerError("No task came over the link. Next: see how busy the broker is")
            others.begin()
            with link.partitioned() as cut:
                wait_until(lambda: not any(each.is_unnoticed for each in tasks), config.within_s)
                rows = [(each.heartbeat_s, each.moved_ns, each.noticed_ns) for each in tasks]
    sides = ["task_moved_s", "worker_noticed_s"]
    frame = pd.DataFrame(rows, columns=["heartbeat_s", *sides])
    frame[sides] = (frame[sides] - cut.down_ns) / 1e9
    return Result(frame, None, provenance(broker))


class _HeldTask:
    """A task in a queue of its own, which a worker gets over the link and holds."""

    moved_ns = noticed_ns = math.nan

    def __init__(self, broker: Broker, link: Link, heartbeat_s: int) -> None:
        self._broker = broker
        self._link = link
        self._queue = f"engine:tasks:held:{heartbeat_s}"
        self.heartbeat_s = heartbeat_s
        self.held, self.released = threading.Event(), threading.Event()
        Topology(queues=(Queue(name=self._queue, auto_delete=True),)).declare(broker)
        purge(broker, self._queue)
        with Publisher(broker, routing_key=self._queue) as publisher:
            publisher.publish(b"task")

    @property
    def is_unnoticed(self) -> bool:
        return math.isnan(self.moved_ns + self.noticed_ns)

    def connect_holder(self) -> Consumer:
        recovery = Recovery(heartbeat_s=self.heartbeat_s, on_event=self._on_event)
        return Consumer(self._link.url, self._queue, self._hold, threaded=True, recovery=recovery)

    def connect_other(self) -> Consumer:
        return Consumer(self._broker, self._queue, self._take)

    def _hold(self, *_: object) -> None:
        self.held.set()
        self.released.wait()

    def _take(self, *_: object) -> None:
        self.moved_ns = time.perf_counter_ns()

    def _on_event(self, event: ConnectionEvent) -> None:
        if event.kind == "lost" and math.isnan(self.noticed_ns):
            self.noticed_ns = event.at_ns
