"""Run a workload through workers, and record what happens to each task."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from rmqlab import names
from rmqlab.amqp import Acks, Topology, purge
from rmqlab.amqp._work import FailurePolicy
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._result import Result
from rmqlab.experiments.workers_figures import (
    plot_depth,
    plot_gantt,
    plot_outcomes,
    plot_poison,
    plot_sharing,
    plot_speedup,
)
from rmqlab.experiments.workload import Workload
from rmqlab.interrupts import wait_until
from rmqlab.measure import Ledger, Report, by_message_id, jain_index, provenance
from rmqlab.measure._bar import bar_of
from rmqlab.measure._recorders import OUTCOMES, ConsumeRecorder, PublishRecorder
from rmqlab.measure._report import NS_PER_S, busy_core_s, held
from rmqlab.view import Mark, Scene

Publish = Callable[[EngineAPI, Task, str], object]

LOOK_EVERY_S = 0.05
OUTCOME_WORDS = np.array([None, *OUTCOMES], dtype=object)
# After a crash not all tasks may get done: the run ends when nobody has had any for so long.
QUIET_S = 1.0
COUNTS = ("published", "received", "acked", "rejected", "redelivered")


def publish_task(api: EngineAPI, task: Task, message_id: str) -> None:
    """Put a task into `engine:tasks`: the default of `WorkloadConfig.publish`."""
    api.publish_task(task, message_id=message_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadConfig(Config):
    """What one run does, and who does it.

    Attributes:
        workload: the tasks.
        workers: how many workers there are for `engine:tasks`; or the name of each worker's queue.
        prefetch_count: how many unacknowledged messages a worker has at most; 0 is no limit.
        ack: when workers acknowledge; if None, after each task.
        on_failure: what happens to a task whose work failed. It is rejected by default, and not
            requeued as by a `Consumer`, as a task that fails each time would never let the run end.
        topology: exchanges and queues. The run declares them and empties the queues.
        publish: publishes a task with a message id.
        execute: does the work of a task; if None, it waits for as long as the recording asks.
        replay: True publishes each task at its time of arrival, while the workers work. False
            puts all tasks into the queue before the workers begin.
        until: the run ends when this is true of the ledger; if None, when all tasks are
            acknowledged or rejected.
        for_s: the run ends after so many seconds, whatever is left; if None, it has no such end.
        timeout_s: the run fails after so many seconds.
    """

    workload: Workload
    workers: int | Sequence[str] = 4
    prefetch_count: int = 1
    ack: Acks | None = None
    on_failure: FailurePolicy = "reject"
    topology: Topology = TOPOLOGY
    publish: Publish = publish_task
    execute: Callable[[Task], object] | None = None
    replay: bool = False
    until: Callable[[Ledger], bool] | None = None
    for_s: float | None = None
    timeout_s: float = 120

    def __post_init__(self) -> None:
        if not self.queues:
            raise ValueError(f"workers is {self.workers}; it goes from 1")
        if not self.workload.jobs:
            raise ValueError("the workload has no tasks; a run needs one at least")

    @property
    def queues(self) -> Sequence[str]:
        """The name of each worker's queue."""
        return [names.TASKS] * self.workers if isinstance(self.workers, int) else self.workers


@dataclass(slots=True)
class Run:
    """One run, as it was recorded: task number i is message i of the ledger."""

    config: WorkloadConfig
    ledger: Ledger = field(default_factory=Ledger)
    started_ns: int = 0  # when the workers began, by the ledger's clock
    replayed_ns: int | None = None  # when the replay of arrivals began
    busy_core_s: float = math.nan
    crashed: dict[int, int] = field(default_factory=dict)  # workers that are gone, and when

    def scene(self) -> Scene:
        """Return the run as a replay shows it."""
        workers = [f"worker-{number}" for number, _ in enumerate(self.config.queues, start=1)]
        bindings = () if self.config.publish is publish_task else self.config.topology.bindings
        exchanges = dict.fromkeys(binding.exchange for binding in bindings)  # besides the default one
        return Scene(
            self.ledger,
            dict(zip(workers, self.config.queues, strict=True)),
            " or ".join(["default exchange", *exchanges]) if exchanges else "",
            started_ns=self.started_ns,
            marks=[
                Mark(at_ns, f"{workers[number]} crashes", workers[number])
                for number, at_ns in self.crashed.items()
            ],
        )


def run_workload(
    broker: Broker,
    config: WorkloadConfig | Mapping[Any, WorkloadConfig],
    *,
    by: str = "run",
    progress: bool = True,
) -> Result:
    """Publish a workload and let workers do it, each in a thread with a connection of its own.

    A run ends when all tasks are done. After a worker has crashed, it ends when nothing is left
    that could be done.

    Args:
        broker: a running broker.
        config: what the run does; several by name make several runs, one after the other. A
            single one is `run`.
        by: what the names of the runs stand for, such as `workers`: the column that has them.
        progress: whether to show a progress bar.

    Returns:
        One row a run, whose counts, times and indexes are those of a `Report`: its name, workers,
        prefetch, published, received, acked, rejected, redelivered, makespan_s, ideal_s (the work over
        the workers, or the longest task if that takes longer), rate_msg_s (acked over makespan_s),
        efficiency (ideal_s over makespan_s), overhead_ms (of a worker's time, what each task took
        beyond its work), busy_core_s (of all of this machine's cores), lag_p99_ms (99 of 100 tasks
        were late by no more; NaN without a replay), jain, jain_busy, idle_share.

        Its frames have the run's name in each row, and times in seconds from the workers' beginning:

        - tasks, a row a task: message (its number), engine_id, worker (the last to have it),
          published_s, delivered_s (first), settled_s (last), lag_ms (NaN without a replay), wait_ms,
          work_ms, duration_s (of its work), outcome, deliveries
        - depth, a row a change: workers, time_s, ready (in the queue), unacked
        - deliveries, as `Report.deliveries`
        - workers, a row a worker: worker, tasks (that it acknowledged), and as `Report.consumers`

        Its figure shows makespan and efficiency by number of workers. Further figures: `depth`,
        `gantt`, `sharing` (by prefetch), `outcomes` (of each task), `poison` (failing tasks).

    Raises:
        BrokerError: a worker failed, or the time limit passed before the end.
        TopologyMismatchError: the broker has an exchange or a queue of the same name with
            other properties.
    """
    configs = config if isinstance(config, Mapping) else {"run": config}
    total = sum(len(each.workload) for each in configs.values())
    runs = {}
    with bar_of(range(total), "task", progress=progress) as bar:
        for name, each in configs.items():
            size = len(each.queues)
            bar.set_description(f"{size} worker{'s' if size > 1 else ''}")
            runs[name] = _run(broker, each, bar)
    return result_of(runs, by, provenance(broker))


def _run(broker: Broker, config: WorkloadConfig, bar: tqdm[int]) -> Run:
    run = Run(config)
    publishing = run.ledger.publisher(identify=by_message_id)
    consuming = [
        run.ledger.consumer(f"worker-{number}", identify=by_message_id)
        for number, _ in enumerate(config.queues, start=1)
    ]
    config.topology.declare(broker)
    purge(broker, *(queue.name for queue in config.topology.queues))
    left = threading.Event()
    if not config.replay:
        _publish(broker, run, publishing, left)

    def make_worker(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            config.execute or config.workload.execute,
            name=consuming[number].name,
            queue=config.queues[number],
            prefetch_count=config.prefetch_count,
            ack=config.ack,
            on_failure=config.on_failure,
            topology=config.topology,
            observer=consuming[number],
        )

    with (
        WorkerPool(len(consuming), make_worker) as pool,
        ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(left.set)  # a replay ends with the run, however that ends
        run.started_ns, busy_before_s = time.perf_counter_ns(), busy_core_s()
        pool.begin()
        publisher = thread.submit(_publish, broker, run, publishing, left) if config.replay else None
        _wait(run, pool, consuming, publisher=publisher, bar=bar)
        run.busy_core_s = busy_core_s() - busy_before_s
        run.crashed = pool.crashed
    return run


def _publish(broker: Broker, run: Run, recorder: PublishRecorder, left: threading.Event) -> None:
    """Publish the tasks, in a replay each when it arrives, until all are published or the run is left."""
    config = run.config
    with EngineAPI(broker, topology=config.topology, observer=recorder) as api:
        since_s = -math.inf
        if config.replay:
            since_s, run.replayed_ns = time.perf_counter(), time.perf_counter_ns()
        for message, job in enumerate(config.workload):
            while not left.is_set() and (wait_s := since_s + job.arrival_s - time.perf_counter()) > 0:
                api.wait(min(wait_s, LOOK_EVERY_S))
            if left.is_set():
                return
            config.publish(api, job.task, str(message))


def _wait(
    run: Run,
    pool: WorkerPool,
    consuming: Sequence[ConsumeRecorder],
    *,
    publisher: Future[None] | None,
    bar: tqdm[int],
) -> None:
    """Wait for the end of a run, and raise what ends a worker or the publisher before."""
    config, ledger = run.config, run.ledger
    tasks, received, shown = len(config.workload), 0, bar.n
    until = config.until or (lambda ledger: ledger.done >= tasks)
    quiet_since_s = time.monotonic()

    def has_ended() -> bool:
        nonlocal received, quiet_since_s
        is_done = until(ledger)
        bar.update(shown + ledger.done - bar.n)
        if is_done:
            return True
        pool.check()
        if publisher and publisher.done():
            publisher.result()
        is_publishing = publisher is not None and not publisher.done()
        is_working = any(
            each.unsettled_count for number, each in enumerate(consuming) if number not in pool.crashed
        )
        if not pool.crashed or is_publishing or is_working or ledger.received > received:
            quiet_since_s, received = time.monotonic(), ledger.received
        return time.monotonic() - quiet_since_s >= QUIET_S

    limit_s = config.timeout_s if config.for_s is None else config.for_s
    if not wait_until(has_ended, limit_s, every_s=LOOK_EVERY_S) and config.for_s is None:
        raise BrokerError(
            f"Only {ledger.done} of {tasks} tasks were done within the time limit. "
            "Next: give more workers, fewer tasks or a longer timeout_s"
        )


def result_of(runs: Mapping[Any, Run], by: str, provenance: Mapping[str, Any]) -> Result:
    """Return runs by name side by side, as `run_workload` describes it."""
    frames: dict[str, list[pd.DataFrame]] = {}
    for name, run in runs.items():
        for kind, frame in _frames_of(run).items():
            if by not in frame:
                frame.insert(0, by, name)
            frames.setdefault(kind, []).append(frame)
    details = {kind: pd.concat(each, ignore_index=True) for kind, each in frames.items()}
    return Result(
        details.pop("rows"),
        plot_speedup,
        provenance,
        details,
        {
            "depth": lambda result: plot_depth(
                result.details["depth"], last_s=result.details["tasks"]["published_s"].max()
            ),
            "gantt": lambda result: plot_gantt(result.details["deliveries"], by=by),
            "sharing": lambda result: plot_sharing(result.rows),
            "outcomes": lambda result: plot_outcomes(result.details["tasks"], by=by),
            "poison": lambda result: plot_poison(result.details["tasks"], by=by),
        },
        {str(name): run.scene() for name, run in runs.items()},
    )


def _frames_of(run: Run) -> dict[str, pd.DataFrame]:
    report = Report.of(run.ledger)
    tasks = _tasks(run, report)
    workers = report.consumers().rename(columns={"consumer": "worker", "acked": "tasks"})
    return {
        "rows": pd.DataFrame([_row(run, tasks, report)]),
        "tasks": tasks,
        "depth": _depth(run, report),
        "deliveries": report.deliveries(),
        "workers": workers[["worker", "tasks", "received", "redelivered", "busy_s", "utilization"]],
    }


def _row(run: Run, tasks: pd.DataFrame, report: Report) -> dict[str, Any]:
    totals, each = report.account.totals(), report.consumers()
    makespan_s = float(tasks[["published_s", "delivered_s", "settled_s"]].max().max())
    workers, workload = len(run.config.queues), run.config.workload
    ideal_s = max(workload.work_s / workers, *(job.duration_s for job in workload))
    return {
        "workers": workers,
        "prefetch": run.config.prefetch_count,
        **{name: getattr(totals, name) for name in COUNTS},
        "makespan_s": makespan_s,
        "ideal_s": ideal_s,
        "rate_msg_s": totals.acked / makespan_s,
        "efficiency": ideal_s / makespan_s,
        "overhead_ms": (makespan_s - ideal_s) * workers / len(workload) * 1000,
        "busy_core_s": run.busy_core_s,
        "lag_p99_ms": tasks["lag_ms"].quantile(0.99),
        "jain": jain_index(each["acked"] + each["rejected"]),
        "jain_busy": jain_index(each["busy_s"]),
        "idle_share": 1 - each["utilization"].mean(),
    }


def _tasks(run: Run, report: Report) -> pd.DataFrame:
    account, jobs = report.account, run.config.workload.jobs
    seen = account.messages.reindex(range(len(jobs)), fill_value=0)
    names = np.array([*account.consumers, None], dtype=object)  # of place -1: nobody
    since_s = math.nan if run.replayed_ns is None else (run.replayed_ns - run.started_ns) / NS_PER_S
    times_ns = seen[["published_ns", "delivered_ns", "settled_ns"]]
    times_s = (times_ns.where(times_ns > 0) - run.started_ns) / NS_PER_S
    published_s, delivered_s, settled_s = (times_s[name] for name in times_s)
    due_s = since_s + np.array([job.arrival_s for job in jobs])
    tasks = {
        "engine_id": [job.task.engine_id for job in jobs],
        "worker": names[seen["consumer"].where(seen["deliveries"] > 0, -1)],
        "due_s": due_s,
        "published_s": published_s,
        "delivered_s": delivered_s,
        "settled_s": settled_s,
        "outcome": OUTCOME_WORDS[seen["outcome"]],
        "deliveries": seen["deliveries"].astype(np.int64),
        "lag_ms": (published_s - due_s) * 1000,
        "wait_ms": (delivered_s - published_s.clip(lower=0)) * 1000,
        "work_ms": (settled_s - delivered_s) * 1000,
        "duration_s": [job.duration_s for job in jobs],
    }
    return pd.DataFrame(tasks).rename_axis("message").reset_index()


def _depth(run: Run, report: Report) -> pd.DataFrame:
    """Follow the queue."""
    published = pd.DataFrame({"time_ns": report.account.messages["published_ns"], "ready": 1, "unacked": 0})
    deliveries = held(report.account)
    # What happens to a message at one moment is in the order in which it does.
    deliveries["order"] = 2 * deliveries.index
    taken = deliveries.assign(time_ns=deliveries["delivered_ns"], ready=-1, unacked=1)
    given = deliveries.assign(
        time_ns=deliveries["until_ns"],
        order=deliveries["order"] + 1,
        ready=deliveries["requeued"].astype(int),
        unacked=-1,
    )
    changes = pd.concat([published.assign(order=-1), taken, given[given["time_ns"] > 0]]).sort_values(
        ["time_ns", "order"], ignore_index=True
    )
    return pd.DataFrame(
        {
            "workers": len(run.config.queues),
            "time_s": (changes["time_ns"] - run.started_ns) / NS_PER_S,
            "ready": changes["ready"].cumsum(),
            "unacked": changes["unacked"].cumsum(),
        }
    )
