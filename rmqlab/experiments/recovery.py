"""An Engine API and its workers, with a recovery, while a broker is broken on purpose."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from rmqlab import names
from rmqlab.amqp import ConnectionEvent, Recovery, purge
from rmqlab.broker import Outage, OwnBroker
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError, StoppedError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import Member, WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.experiments.recovery_figures import plot_outages, plot_recoveries
from rmqlab.interrupts import wait_until
from rmqlab.measure import Ledger, Report, by_message_id, provenance
from rmqlab.measure._bar import bar_of
from rmqlab.view import Mark, Scene

LOSSES = ("lost", "cancelled")
RATES_BIN_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryConfig(Config):
    """Which faults happen, to whom, and how they recover.

    Attributes:
        faults: for each fault's name, what makes it happen, and returns when it is over: the
            `Outage`, if it is one.
        recovery: how API and workers recover; its `on_event` is the experiment's own.
        execute: does the work of a task; 20 ms of it by default.
        workers: how many workers there are.
        rate_msg_s: tasks published per second.
        repeats: how often all faults happen.
        steady_s: how long all has to be well before the first fault and after each, in seconds.
        timeout_s: give up when it takes longer until all is well, in seconds.
    """

    faults: Mapping[str, Callable[[], object]]
    recovery: Recovery = field(default_factory=Recovery)
    execute: Callable[[Task], object] = lambda _: time.sleep(0.02)
    workers: int = 8
    rate_msg_s: float = 100
    repeats: int = 1
    steady_s: float = 0.6
    timeout_s: float = 60
    FULL: ClassVar = {"repeats": 10}


def run_with_faults(broker: OwnBroker, config: RecoveryConfig, *, progress: bool = True) -> Result:
    """Publish tasks and work on them while one fault after another happens.

    An `EngineAPI` publishes at a steady rate into `engine:tasks`, which is emptied first, until
    the last fault is over. While it has no connection it waits, and does not make up for it.
    Each worker is an `EngineWorker` in a thread. Task number *n* has the message id *n*, and
    `{"number": n}` as its data. The run ends when every task is done, and the queue is empty.

    Args:
        broker: a broker of your own.
        config: what happens, and to whom.
        progress: whether to show a progress bar.

    Returns:
        One row a fault and client that lost its connection by it: fault, number (which of the
        faults, from 0), client, recover_s: from the first loss, or from when the broker was back
        if that is later, until the client's last recovery. It is 0 where a client was sooner than
        we noticed that the broker was back, and NaN where it did not recover for good. Further
        frames, whose times count from the first publishing, in seconds:

        - outages, a row a fault: fault, down_s (when it had happened), up_s (when the broker was
          well again: the same for what does not last), silent_s (the longest time between two
          deliveries, from its beginning until the next fault's)
        - events, a row an event of a connection: time_s, client, event (its kind)
        - throughput: the rates over time, as of `Report.throughput`
        - tasks, a row a task: task (its number), deliveries, interrupted (whether a worker held
          it when it lost its connection)
        - totals, one row: the counts of `Ledger.totals`, and republished (how often the API
          published a task once more after it had lost its connection)

        Figures: how soon clients are back; `outages`, rates and events over time. The recorded run is `run`.

    Raises:
        BrokerError: API or a worker gave up, or all was not well within the time limit.
    """
    events: list[ConnectionEvent] = []
    recovery = replace(config.recovery, on_event=events.append)
    ledger = Ledger()
    publishing = ledger.publisher(identify=by_message_id)
    consuming = [
        ledger.consumer(f"worker-{number + 1}", identify=by_message_id) for number in range(config.workers)
    ]
    sources: list[_Source] = []

    def make_member(number: int) -> Member:
        if number < config.workers:
            seen = consuming[number]
            return EngineWorker(broker, config.execute, name=seen.name, recovery=recovery, observer=seen)
        sources.append(_Source(broker, recovery=recovery, observer=publishing))
        sources[0].rate_msg_s = config.rate_msg_s
        return sources[0]

    def is_well() -> bool:
        latest = {event.name: event.kind for event in list(events)}
        return ledger.done > done_before and set(latest.values()) <= {"recovered", "unblocked"}

    TOPOLOGY.declare(broker)
    purge(broker, *(queue.name for queue in TOPOLOGY.queues))
    observed: list[tuple[int, Outage]] = []
    done_before = 0
    with WorkerPool(config.workers + 1, make_member) as pool:
        pool.begin()
        _wait_until(is_well, pool, config.timeout_s, lasting_s=config.steady_s)
        for name, happen in bar_of(list(config.faults.items()) * config.repeats, "fault", progress=progress):
            begin_ns = time.perf_counter_ns()
            outage = happen()
            done_before = ledger.published
            _wait_until(is_well, pool, config.timeout_s, lasting_s=config.steady_s)
            if not isinstance(outage, Outage):  # it does not last: it was when somebody noticed
                losses_ns = [event.at_ns for event in events if event.kind in LOSSES]
                first_ns = min((at_ns for at_ns in losses_ns if at_ns >= begin_ns), default=begin_ns)
                outage = Outage(name, first_ns, first_ns)
            observed.append((begin_ns, replace(outage, fault=name)))
        (source,) = sources
        source.ends = True
        _wait_until(lambda: source.has_ended and ledger.done == ledger.published, pool, config.timeout_s)
        broker.wait_for_queue(names.TASKS, ready=0)  # what was published twice is done twice
    return recovery_result(ledger, observed, events, source.republished, provenance(broker))


def _wait_until(
    condition: Callable[[], bool], pool: WorkerPool, timeout_s: float, *, lasting_s: float = 0
) -> None:
    """Wait until something has been so for a while."""
    since_s = math.inf

    def has_lasted() -> bool:
        nonlocal since_s
        pool.check()
        now_s = time.monotonic()
        since_s = min(since_s, now_s) if condition() else math.inf
        return now_s - since_s >= lasting_s

    if not wait_until(has_lasted, timeout_s + lasting_s):
        raise BrokerError(
            f"Not all was well again within {timeout_s:g} s. "
            "Next: see how busy the machine and the broker are, or give a longer timeout_s"
        )


class _Source(EngineAPI):
    """Publishes tasks at a steady rate, until it is to end."""

    rate_msg_s: float
    ends = has_ended = False

    def run(self) -> None:
        with contextlib.suppress(StoppedError):
            due_s = time.perf_counter()
            for number in itertools.count():
                while (left_s := due_s - time.perf_counter()) > 0:
                    self.wait(left_s)
                if self.ends:
                    break
                task = Task(f"engine-{number}", "process", {"number": number})
                self.publish_task(task, message_id=str(number))
                due_s = max(due_s + 1 / self.rate_msg_s, time.perf_counter())
            self.flush()
        self.has_ended = True


def recovery_result(
    ledger: Ledger,
    faults: Sequence[tuple[int, Outage]],
    events: Sequence[ConnectionEvent],
    republished: int,
    environment: Mapping[str, object],
) -> Result:
    """Return the result of a run: of each fault, when it began on the ledger's clock and its outage."""
    account = ledger.account()
    messages, delivered_ns = account.messages, np.sort(account.deliveries["delivered_ns"])
    started_ns = int(messages["published_ns"].min())
    log = pd.DataFrame(
        [((each.at_ns - started_ns) / 1e9, each.name, each.kind) for each in events],
        columns=["time_s", "client", "event"],
    ).sort_values("time_s", kind="stable", ignore_index=True)
    ends_ns = [*(begin_ns for begin_ns, _ in faults[1:]), sys.maxsize]
    outages, recoveries, marks = [], [], []
    for number, ((begin_ns, outage), end_ns) in enumerate(zip(faults, ends_ns, strict=True)):
        marks.append(Mark(begin_ns, outage.fault))
        if outage.up_ns > outage.down_ns:
            marks.append(Mark(outage.up_ns, f"{outage.fault}: over"))
        down_s, up_s = (outage.down_ns - started_ns) / 1e9, (outage.up_ns - started_ns) / 1e9
        first, last = np.searchsorted(delivered_ns, [begin_ns, end_ns])
        silent_ns = np.diff(delivered_ns[max(first - 1, 0) : last]).max(initial=0)
        outages.append((outage.fault, down_s, up_s, silent_ns / 1e9))
        is_during = log["time_s"].between((begin_ns - started_ns) / 1e9, (end_ns - started_ns) / 1e9, "left")
        for client, mine in log[is_during].groupby("client"):
            lost_s = mine.loc[mine["event"].isin(LOSSES), "time_s"]
            if len(lost_s):
                back_s = mine.loc[mine["event"] == "recovered", "time_s"].max()  # NaN if there is none
                took_s = (
                    max(back_s - max(lost_s.iloc[0], up_s), 0.0) if back_s >= lost_s.iloc[-1] else math.nan
                )
                recoveries.append((outage.fault, number, client, took_s))
    held = {message_id for event in events for message_id in event.messages}
    tasks = {
        "task": messages.index,
        "deliveries": messages["deliveries"],
        "interrupted": [str(number) in held for number in messages.index],
    }
    totals = asdict(account.totals()) | {"republished": republished}
    return Result(
        rows=pd.DataFrame(recoveries, columns=["fault", "number", "client", "recover_s"]),
        draw=plot_recoveries,
        provenance=environment,
        details={
            "outages": pd.DataFrame(outages, columns=["fault", "down_s", "up_s", "silent_s"]),
            "events": log,
            "throughput": Report(account).throughput(RATES_BIN_S),
            "tasks": pd.DataFrame(tasks),
            "totals": pd.DataFrame([totals]),
        },
        figures={"outages": plot_outages},
        scenes={"run": Scene(ledger, dict.fromkeys(account.consumers, names.TASKS), marks=marks)},
    )
