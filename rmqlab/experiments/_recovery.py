"""An Engine API and its workers, with a recovery, while a broker is broken on purpose."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from rmqlab import names
from rmqlab.amqp import ConnectionEvent, Recovery, purge
from rmqlab.broker import Broker, Outage
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError, StoppedError
from rmqlab.experiments._pool import WorkerPool
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._recorders import PublishRecorder
from rmqlab.measure._report import Report, provenance

LOOK_EVERY_S = 0.02
NS_PER_S = 1_000_000_000
LOSSES = ("lost", "cancelled")


@dataclass(frozen=True, slots=True)
class FaultRun:
    """What an Engine API and its workers lived through.

    Attributes:
        ledger: the outcome of each task, whose number is its message id.
        faults: each fault, as it happened: when it began, in nanoseconds of the ledger's
            clock, and the outage that it was.
        connection_events: every event of every connection, in the order of time.
        republished: how many tasks the API published again after it had lost its connection.
        provenance: where it was measured.
    """

    ledger: Ledger
    faults: tuple[tuple[int, Outage], ...]
    connection_events: tuple[ConnectionEvent, ...]
    republished: int
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<FaultRun {len(self.faults)} faults: {self.ledger.published} tasks>"

    @property
    def started_ns(self) -> int:
        """When the first task was published: the time 0 of all frames."""
        return int(self.ledger.account().messages["published_ns"].min())

    def throughput(self, bin_s: float = 0.25) -> pd.DataFrame:
        """Show the rates over time, as `Report.throughput` does."""
        return Report.of(self.ledger).throughput(bin_s)

    def outages(self) -> pd.DataFrame:
        """Show the faults.

        Returns:
            One row a fault: fault, down_s (when it had happened), up_s (when the broker was
            well again: the same for what does not last), silent_s (the longest time between
            two deliveries, from its beginning until the next fault's).
        """
        account = self.ledger.account()
        delivered_ns = np.sort(account.deliveries["delivered_ns"])
        started_ns = int(account.messages["published_ns"].min())
        ends = [begin_ns for begin_ns, _ in self.faults[1:]] + [sys.maxsize]
        rows = []
        for (begin_ns, outage), end_ns in zip(self.faults, ends, strict=True):
            first, last = np.searchsorted(delivered_ns, [begin_ns, end_ns])
            gaps_ns = np.diff(delivered_ns[max(first - 1, 0) : last])
            rows.append(
                {
                    "fault": outage.fault,
                    "down_s": (outage.down_ns - started_ns) / NS_PER_S,
                    "up_s": (outage.up_ns - started_ns) / NS_PER_S,
                    "silent_s": gaps_ns.max(initial=0) / NS_PER_S,
                }
            )
        return pd.DataFrame(rows, columns=["fault", "down_s", "up_s", "silent_s"])

    def events(self) -> pd.DataFrame:
        """Show what connections told.

        Returns:
            One row an event: time_s, client, event (its kind), unacked (how many tasks a worker
            held that will come again), detail.
        """
        started_ns = self.started_ns
        rows = [
            {
                "time_s": (each.at_ns - started_ns) / NS_PER_S,
                "client": each.name,
                "event": each.kind,
                "unacked": len(each.messages),
                "detail": each.detail,
            }
            for each in self.connection_events
        ]
        return pd.DataFrame(rows, columns=["time_s", "client", "event", "unacked", "detail"])

    def unacked(self) -> set[int]:
        """Return the numbers of the tasks that workers held when they lost their connections."""
        return {
            int(message)
            for each in self.connection_events
            for message in each.messages
            if message is not None
        }

    def delivered_again(self) -> set[int]:
        """Return the numbers of the tasks that were delivered more than once."""
        messages = self.ledger.account().messages
        return set(messages["number"][messages["deliveries"] > 1].tolist())

    def recoveries(self) -> pd.DataFrame:
        """Show how long each client took to recover from each fault.

        Returns:
            One row a fault and client that lost its connection by it: fault, number (which of
            the faults, from 0), client, recover_s: from the first loss, or from when the broker
            was back if that is later, until the client's last recovery. 0 where a client was
            sooner than we noticed that the broker was back; NaN where it did not recover for good.
        """
        begins = [begin_ns for begin_ns, _ in self.faults] + [sys.maxsize]
        rows = []
        for number, (_, outage) in enumerate(self.faults):
            during = [
                each for each in self.connection_events if begins[number] <= each.at_ns < begins[number + 1]
            ]
            for client in sorted({each.name for each in during if each.kind in LOSSES}):
                mine = [each for each in during if each.name == client]
                lost_ns = [each.at_ns for each in mine if each.kind in LOSSES]
                back_ns = max((each.at_ns for each in mine if each.kind == "recovered"), default=0)
                lasted_s = max((back_ns - max(lost_ns[0], outage.up_ns)) / NS_PER_S, 0.0)
                rows.append(
                    {
                        "fault": outage.fault,
                        "number": number,
                        "client": client,
                        "recover_s": lasted_s if back_ns >= lost_ns[-1] else math.nan,
                    }
                )
        return pd.DataFrame(rows, columns=["fault", "number", "client", "recover_s"])


def run_with_faults(
    broker: Broker,
    faults: Mapping[str, Callable[[], object]],
    *,
    recovery: Recovery | None = None,
    execute: Callable[[Task], object] | None = None,
    workers: int = 8,
    rate_msg_s: float = 100,
    repeats: int = 1,
    steady_s: float = 1.0,
    timeout_s: float = 60,
    progress: bool = True,
) -> FaultRun:
    """Publish tasks and work on them while one fault after another happens.

    An `EngineAPI` publishes at a steady rate into `engine:tasks`, which is emptied first, until
    the last fault is over; while it has no connection it waits, and does not make up for it.
    Each worker is an `EngineWorker` in a thread. Task number *n* has the message id *n*, and
    `{"number": n}` as its data. The run ends when every task is done, and the queue is empty.

    Args:
        broker: a broker of one's own.
        faults: for each fault's name, what makes it happen, and returns when it is over: the
            `Outage`, if it is one.
        recovery: how API and workers recover; None is `Recovery()`.
        execute: does the work of a task; None takes 20 ms.
        workers: how many workers there are.
        rate_msg_s: tasks published per second.
        repeats: how often all faults happen.
        steady_s: how long all has to be well before the first fault and after each, in seconds.
        timeout_s: give up when it takes longer until all is well.
        progress: whether to show a progress bar.

    Raises:
        BrokerError: API or a worker gave up, or all was not well within the time limit.
    """
    recovery = recovery or Recovery()
    log = _EventLog(recovery.on_event)
    recovery = dataclasses.replace(recovery, on_event=log)
    ledger = Ledger()
    consuming = [ledger.consumer(f"worker-{number + 1}", identify=by_message_id) for number in range(workers)]
    source = _Source(broker, rate_msg_s, recovery, ledger.publisher("engine-api", identify=by_message_id))
    TOPOLOGY.declare(broker)
    purge(broker, *(queue.name for queue in TOPOLOGY.queues))

    def make_worker(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            execute or _work_briefly,
            name=consuming[number].name,
            recovery=recovery,
            observer=consuming[number],
        )

    observed: list[tuple[int, Outage]] = []
    with WorkerPool(workers, make_worker) as pool, source.publishing():
        pool.begin()

        def wait_until(condition: Callable[[], bool], lasting_s: float) -> None:
            def check() -> None:
                pool.check()
                source.check()

            _wait_until(condition, lasting_s, timeout_s, check=check)

        def is_well() -> bool:
            return log.all_is_well() and ledger.done > done_before

        done_before = 0
        wait_until(is_well, steady_s)
        for name, happen in tqdm(
            list(faults.items()) * repeats, unit="fault", file=sys.stdout, disable=not progress
        ):
            begin_ns = time.perf_counter_ns()
            outage = happen()
            done_before = ledger.published
            wait_until(is_well, steady_s)
            if not isinstance(outage, Outage):  # it does not last: it was when somebody noticed
                first_ns = log.first_loss_ns(begin_ns)
                outage = Outage(name, first_ns, first_ns)
            observed.append((begin_ns, dataclasses.replace(outage, fault=name)))
        source.end()
        wait_until(lambda: source.has_ended and ledger.done == ledger.published, 0)
        broker.wait_for_queue(names.TASKS, ready=0)  # what was published twice is done twice
    return FaultRun(
        ledger=ledger,
        faults=tuple(observed),
        connection_events=tuple(sorted(log, key=lambda each: each.at_ns)),
        republished=source.republished,
        provenance=provenance(broker),
    )


def _work_briefly(_: Task) -> None:
    time.sleep(0.02)


def _wait_until(
    condition: Callable[[], bool], lasting_s: float, timeout_s: float, *, check: Callable[[], object]
) -> None:
    """Wait until something has been so for a while."""
    deadline_s = time.monotonic() + timeout_s + lasting_s
    since_s = math.inf
    while True:
        check()
        now_s = time.monotonic()
        since_s = min(since_s, now_s) if condition() else math.inf
        if now_s - since_s >= lasting_s:
            return
        if now_s > deadline_s:
            raise BrokerError(
                f"Not all was well again within {timeout_s:g} s. "
                "Next: see how busy the machine and the broker are, or give a longer timeout_s"
            )
        time.sleep(LOOK_EVERY_S)


class _EventLog(list[ConnectionEvent]):
    """Keeps what connections tell, and tells it on."""

    def __init__(self, hook: Callable[[ConnectionEvent], object] | None) -> None:
        super().__init__()
        self._hook = hook

    def __call__(self, event: ConnectionEvent) -> None:
        self.append(event)
        if self._hook is not None:
            self._hook(event)

    def first_loss_ns(self, since_ns: int) -> int:
        """Return when the first connection was lost since then; or then, if none was."""
        losses = [event.at_ns for event in list(self) if event.kind in LOSSES and event.at_ns >= since_ns]
        return min(losses, default=since_ns)

    def all_is_well(self) -> bool:
        latest = {event.name: event.kind for event in list(self)}
        return all(kind in ("recovered", "unblocked") for kind in latest.values())


@dataclass(slots=True)
class _Source:
    """Publishes tasks at a steady rate, in a thread, until it is told to end."""

    broker: Broker
    rate_msg_s: float
    recovery: Recovery
    recorder: PublishRecorder
    republished: int = 0
    has_ended: bool = False
    _ending: threading.Event = field(default_factory=threading.Event)
    _api: EngineAPI | None = None
    _future: Future[None] | None = None

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        with ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread:
            self._future = thread.submit(self._publish)
            try:
                yield
            except BaseException:
                self._ending.set()
                while not self._future.done():  # it may connect only after the first call
                    if self._api is not None:
                        self._api.stop()
                    time.sleep(LOOK_EVERY_S)
                raise

    def end(self) -> None:
        self._ending.set()

    def check(self) -> None:
        """Raise what ended the API, if it has ended."""
        if self._future and self._future.done():
            self._future.result()

    def _publish(self) -> None:
        with EngineAPI(self.broker, recovery=self.recovery, observer=self.recorder) as api:
            self._api = api
            with contextlib.suppress(StoppedError):
                due_s = time.perf_counter()
                for number in itertools.count():
                    while (left_s := due_s - time.perf_counter()) > 0:
                        api.wait(left_s)
                    if self._ending.is_set():
                        break
                    task = Task(f"engine-{number}", "process", {"number": number})
                    api.publish_task(task, message_id=str(number))
                    due_s = max(due_s + 1 / self.rate_msg_s, time.perf_counter())
                api.flush()
            self.republished = api.republished
        self.has_ended = True
