"""When either side of a connection notices that the network between them is cut."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from rmqlab.amqp import ConnectionEvent, Consumer, Publisher, Queue, Recovery, Topology, purge
from rmqlab.broker import Broker, Link
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.experiments.heartbeat_figures import plot_detection
from rmqlab.measure import provenance

LOOK_EVERY_S = 0.02
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


def measure_partition_detection(broker: Broker, config: HeartbeatConfig | None = None) -> Result:
    """Cut the network between workers and their broker, and see when either side notices.

    For each heartbeat, a worker holds a task that it has got over a link. The link is cut without
    a word to either side. Another worker, with a connection of its own to the broker, gets the
    task when the broker has given up the first one.

    Args:
        broker: a running broker.
        config: what is tried; `HeartbeatConfig.quick()` if None.

    Returns:
        One row a heartbeat: heartbeat_s, task_moved_s (until the other worker had the task),
        worker_noticed_s (until the first one knew that its connection was lost), in seconds; NaN
        for what did not happen within the time.

    Raises:
        BrokerError: as `Consumer`.
    """
    config = config or HeartbeatConfig.quick()
    with Link(broker) as link:
        tasks = [_HeldTask(broker, link, heartbeat_s) for heartbeat_s in config.heartbeats_s]
        with (
            WorkerPool(len(tasks), lambda number: tasks[number].holder()) as holders,
            WorkerPool(len(tasks), lambda number: tasks[number].other()) as others,
            _released(tasks),
        ):
            holders.begin()
            if not _wait_until(lambda: all(each.held.is_set() for each in tasks), DELIVERY_TIMEOUT_S):
                raise BrokerError("No task came over the link. Next: see how busy the broker is")
            others.begin()
            with link.partitioned() as cut:
                _wait_until(lambda: all(each.moved_ns and each.noticed_ns for each in tasks), config.within_s)
                rows = [each.row(cut.down_ns) for each in tasks]
    return Result(pd.DataFrame(rows), plot_detection, provenance(broker))


@contextlib.contextmanager
def _released(tasks: Sequence[_HeldTask]) -> Iterator[None]:
    """Let the workers finish when a block is left."""
    try:
        yield
    finally:
        for each in tasks:
            each.released.set()


class _HeldTask:
    """A task in a queue of its own, which a worker gets over the link and holds."""

    def __init__(self, broker: Broker, link: Link, heartbeat_s: int) -> None:
        self._broker = broker
        self._link = link
        self._heartbeat_s = heartbeat_s
        self._queue = f"engine:tasks:held:{heartbeat_s}"
        self.held = threading.Event()
        self.released = threading.Event()
        self.moved_ns = self.noticed_ns = 0
        Topology(queues=(Queue(name=self._queue, auto_delete=True),)).declare(broker)
        purge(broker, self._queue)
        with Publisher(broker, routing_key=self._queue) as publisher:
            publisher.publish(b"task")

    def holder(self) -> Consumer:
        recovery = Recovery(heartbeat_s=self._heartbeat_s, on_event=self._on_event)
        return Consumer(self._link.url, self._queue, self._hold, threaded=True, recovery=recovery)

    def other(self) -> Consumer:
        return Consumer(self._broker, self._queue, self._take)

    def row(self, cut_ns: int) -> dict[str, float]:
        def after_s(time_ns: int) -> float:
            return (time_ns - cut_ns) / 1e9 if time_ns else math.nan

        return {
            "heartbeat_s": self._heartbeat_s,
            "task_moved_s": after_s(self.moved_ns),
            "worker_noticed_s": after_s(self.noticed_ns),
        }

    def _hold(self, *_: object) -> None:
        self.held.set()
        self.released.wait()

    def _take(self, *_: object) -> None:
        self.moved_ns = self.moved_ns or time.perf_counter_ns()

    def _on_event(self, event: ConnectionEvent) -> None:
        if event.kind == "lost":
            self.noticed_ns = self.noticed_ns or event.at_ns


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True
