"""When either side of a connection notices that the network between them is cut."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pandas as pd

from rmqlab.amqp import ConnectionEvent, Consumer, Publisher, Queue, Recovery, Topology, connect
from rmqlab.broker import Broker, Link
from rmqlab.errors import BrokerError

LOOK_EVERY_S = 0.02
END_TIMEOUT_S = 10
NS_PER_S = 1_000_000_000
HELD = "engine:tasks:held"  # the queue of what a silent worker holds


def measure_partition_detection(
    broker: Broker, *, heartbeats_s: Sequence[int], within_s: float
) -> pd.DataFrame:
    """Cut the network between workers and their broker, and see when either side notices.

    For each heartbeat, a worker holds a task that it has got over a link. The link is cut,
    without a word to anybody. Another worker, with a connection of its own to the broker,
    gets the task when the broker has given up the first one.

    Args:
        broker: a broker of one's own.
        heartbeats_s: the heartbeats, in seconds.
        within_s: how long the link stays cut, in seconds.

    Returns:
        One row a heartbeat: heartbeat_s, task_moved_s (until the other worker had the task),
        worker_noticed_s (until the first one knew that its connection was lost); NaN for what
        did not happen within the time.

    Raises:
        BrokerError: as `Consumer`.
    """
    with Link(broker) as link, contextlib.ExitStack() as stack:
        holders = [_Holder(broker, link, heartbeat_s) for heartbeat_s in heartbeats_s]
        for each in holders:
            stack.enter_context(each.at_work())
        cut = stack.enter_context(link.partitioned())
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s and not all(each.is_over for each in holders):
            time.sleep(LOOK_EVERY_S)
        rows = [each.row(cut.down_ns) for each in holders]
    return pd.DataFrame(rows)


class _Holder:
    """A worker over the link that holds a task, and one beside it that waits for the task."""

    def __init__(self, broker: Broker, link: Link, heartbeat_s: int) -> None:
        self._broker = broker
        self._link = link
        self._heartbeat_s = heartbeat_s
        self._queue = f"{HELD}:{heartbeat_s}"
        self._topology = Topology(queues=(Queue(name=self._queue, auto_delete=True),))
        self._releasing = threading.Event()
        self._let_go = threading.Event()
        self._moved_ns = self._noticed_ns = 0

    @property
    def is_over(self) -> bool:
        return bool(self._moved_ns and self._noticed_ns)

    def row(self, cut_ns: int) -> dict[str, float]:
        def after_s(time_ns: int) -> float:
            return (time_ns - cut_ns) / NS_PER_S if time_ns else math.nan

        return {
            "heartbeat_s": self._heartbeat_s,
            "task_moved_s": after_s(self._moved_ns),
            "worker_noticed_s": after_s(self._noticed_ns),
        }

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        with contextlib.closing(connect(self._broker)) as connection:
            self._topology.declare(connection.channel())
            connection.channel().queue_purge(self._queue)
        with Publisher(self._broker, routing_key=self._queue) as publisher:
            publisher.publish(b"task")
        recovery = Recovery(heartbeat_s=self._heartbeat_s, on_event=self._on_event)
        with (
            ThreadPoolExecutor(2, thread_name_prefix="holder") as threads,
            Consumer(
                self._link.url, self._queue, self._hold, threaded=True, recovery=recovery, name="holder"
            ) as holder,
            Consumer(self._broker, self._queue, self._take, name="beside") as beside,
        ):
            runs = [threads.submit(holder.run)]
            try:
                if not self._releasing.wait(END_TIMEOUT_S):
                    raise BrokerError("No task came over the link. Next: see how busy the broker is")
                runs.append(threads.submit(beside.run))
                yield
            finally:
                self._let_go.set()
                beside.stop()
                holder.stop()
                wait(runs)  # a connection belongs to one thread, which closes it only then

    def _hold(self, *_: object) -> None:
        self._releasing.set()
        self._let_go.wait()

    def _take(self, *_: object) -> None:
        self._moved_ns = self._moved_ns or time.perf_counter_ns()

    def _on_event(self, event: ConnectionEvent) -> None:
        if event.kind == "lost":
            self._noticed_ns = self._noticed_ns or event.at_ns
