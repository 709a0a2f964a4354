"""Run a workload through workers, and record what happens to each task."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from rmqlab import names
from rmqlab.amqp import Acks, Topology, connect, purge
from rmqlab.amqp._work import FailurePolicy
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments._workers_frames import Run, Runs
from rmqlab.experiments._workload import Workload
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._machine import busy_core_s
from rmqlab.measure._recorders import ConsumeRecorder, PublishRecorder
from rmqlab.measure._report import NS_PER_S

Publish = Callable[[EngineAPI, Task, str], object]

LOOK_EVERY_S = 0.05
# After a crash not all tasks may get done: the run ends when nothing has been under way so long.
QUIET_S = 0.5


def publish_task(api: EngineAPI, task: Task, message_id: str) -> None:
    """Put a task into `engine:tasks`: how a run publishes unless it is told otherwise."""
    api.publish_task(task, message_id=message_id)


def run_workload(
    broker: Broker,
    workload: Workload,
    *,
    workers: int | Sequence[str] = 1,
    prefetch_count: int = 1,
    ack: Acks | None = None,
    on_failure: FailurePolicy = "reject",
    topology: Topology = TOPOLOGY,
    publish: Publish = publish_task,
    execute: Callable[[Task], object] | None = None,
    replay: bool = False,
    until: Callable[[Ledger], bool] | None = None,
    for_s: float | None = None,
    timeout_s: float = 120,
    progress: bool = True,
) -> Run:
    """Publish a workload and let workers do it, each in a thread.

    The topology is declared and its queues are emptied first. Each worker has a connection of
    its own, and all of them begin to consume at the same moment. The run ends when all tasks
    are done or, after a worker has crashed, when nothing is left that could be done.

    Args:
        broker: a running broker.
        workload: the tasks.
        workers: how many workers there are for `engine:tasks`; or the name of each worker's
            queue.
        prefetch_count: how many unacknowledged messages a worker is handed at a time; 0 is
            no limit.
        ack: when workers acknowledge; None is after each task.
        on_failure: the outcome of a task whose work failed.
        topology: exchanges and queues, which publisher and workers declare.
        publish: publishes a task with this message id, as `publish_task` does.
        execute: does the work of a task; None is busy for as long as its recording asks.
        replay: whether to publish each task at its time of arrival, while the workers work.
            Otherwise all are in the queue before the workers begin.
        until: end the run as soon as this is so, asked of the ledger again and again; None is when
            all tasks are acknowledged or rejected.
        for_s: end the run after so many seconds, whatever is left; None is no such end.
        timeout_s: give up after this many seconds.
        progress: whether to show a progress bar.

    Raises:
        BrokerError: a worker failed, or the time limit passed before the end.
        TopologyMismatchError: the broker has an exchange or a queue of the same name with
            other properties.
        ValueError: an argument is out of range.
    """
    queues = [names.TASKS] * workers if isinstance(workers, int) else list(workers)
    if not queues:
        raise ValueError(f"workers is {workers}; it goes from 1")
    if not workload.jobs:
        raise ValueError("the workload has no tasks; a run needs one at least")
    ledger = Ledger()
    publishing = ledger.publisher("engine-api", identify=by_message_id)
    consuming = [
        ledger.consumer(f"worker-{number + 1}", identify=by_message_id) for number in range(len(queues))
    ]
    topology.declare(broker)
    purge(broker, *(queue.name for queue in topology.queues))
    source = _Source(broker, workload, topology, publish, publishing)
    if not replay:
        source.publish_all()

    def make_worker(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            execute or workload.execute,
            name=consuming[number].name,
            queue=queues[number],
            prefetch_count=prefetch_count,
            ack=ack,
            on_failure=on_failure,
            topology=topology,
            observer=consuming[number],
        )

    with WorkerPool(len(queues), make_worker) as pool:
        started_ns, busy_before_s = time.perf_counter_ns(), busy_core_s()
        pool.begin()
        with source.replaying() if replay else contextlib.nullcontext() as publisher:
            _Wait(broker, topology, ledger, pool, consuming, publisher).run(
                len(workload),
                until=until or (lambda ledger: ledger.done >= len(workload)),
                for_s=for_s,
                timeout_s=timeout_s,
                show=progress,
            )
        busy_s = busy_core_s() - busy_before_s
    return Run(
        workload=workload,
        ledger=ledger,
        rabbitmq=broker.version,
        workers=len(queues),
        prefetch=prefetch_count,
        started_ns=started_ns,
        replayed_ns=source.replayed_ns,
        busy_core_s=busy_s,
    )


def run_each(
    broker: Broker,
    workload: Workload,
    *,
    workers: Iterable[int],
    prefetch_count: int = 1,
    replay: bool = False,
    timeout_s: float = 120,
    progress: bool = True,
) -> Runs:
    """Run a workload once for each number of workers.

    Args:
        broker: a running broker.
        workload: the tasks.
        workers: numbers of workers, such as `[1, 2, 4, 8]`.
        prefetch_count: as in `run_workload`, and so are the others.
        replay: whether tasks are published at their time of arrival.
        timeout_s: for each run.
        progress: whether to show a progress bar for each run.

    Raises:
        BrokerError: a worker failed, or a time limit passed.
    """
    runs = {
        each: run_workload(
            broker,
            workload,
            workers=each,
            prefetch_count=prefetch_count,
            replay=replay,
            timeout_s=timeout_s,
            progress=progress,
        )
        for each in workers
    }
    return Runs(runs, by="workers")


@dataclass(slots=True)
class _Source:
    """Publishes the workload of a run."""

    broker: Broker
    workload: Workload
    topology: Topology
    publish: Publish
    recorder: PublishRecorder
    replayed_ns: int | None = None  # when the first task was due

    def publish_all(self) -> None:
        with self._api() as api:
            for message, job in enumerate(self.workload):
                self.publish(api, job.task, str(message))

    @contextlib.contextmanager
    def replaying(self) -> Iterator[Future[None]]:
        """Publish each task when it arrives, in a thread, until the block is left."""
        left = threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread:
            try:
                yield thread.submit(self._replay, left)
            finally:
                left.set()

    def _replay(self, left: threading.Event) -> None:
        with self._api() as api:
            self.replayed_ns = time.perf_counter_ns()
            for message, job in enumerate(self.workload):
                due_s = self.replayed_ns / NS_PER_S + job.arrival_s
                while not left.is_set() and (wait_s := due_s - time.perf_counter()) > 0:
                    api.wait(min(wait_s, LOOK_EVERY_S))
                if left.is_set():
                    return
                self.publish(api, job.task, str(message))

    def _api(self) -> EngineAPI:
        return EngineAPI(self.broker, topology=self.topology, observer=self.recorder)


@dataclass(frozen=True, slots=True)
class _Wait:
    """Waits for the end of a run, and raises what ends a worker or the publisher before."""

    broker: Broker
    topology: Topology
    ledger: Ledger
    pool: WorkerPool
    consuming: Sequence[ConsumeRecorder]
    publisher: Future[None] | None

    def run(
        self,
        tasks: int,
        *,
        until: Callable[[Ledger], bool],
        for_s: float | None,
        timeout_s: float,
        show: bool,
    ) -> None:
        size = len(self.pool)
        label = f"{size} worker{'s' if size > 1 else ''}"
        started_s = quiet_since_s = time.monotonic()
        # On standard output, as JupyterLab paints standard error like a warning.
        with tqdm(total=tasks, desc=f"{label:>10}", unit="task", file=sys.stdout, disable=not show) as bar:
            while not until(self.ledger):
                bar.update(self.ledger.done - bar.n)
                self.pool.check()
                if self.publisher and self.publisher.done():
                    self.publisher.result()
                now_s = time.monotonic()
                if for_s is not None and now_s - started_s >= for_s:
                    break
                if self._is_under_way():
                    quiet_since_s = now_s
                elif now_s - quiet_since_s >= QUIET_S:
                    break
                if now_s - started_s > timeout_s:
                    raise BrokerError(
                        f"Only {self.ledger.done} of {tasks} tasks were done within the time limit. "
                        "Next: give more workers, fewer tasks or a longer timeout_s"
                    )
                time.sleep(LOOK_EVERY_S)
            bar.update(self.ledger.done - bar.n)

    def _is_under_way(self) -> bool:
        """Return whether there is something left to do, and somebody to do it."""
        crashed = set(self.pool.crashed)
        if not crashed:
            return True
        if self.publisher and not self.publisher.done():
            return True
        alive = [recorder for number, recorder in enumerate(self.consuming) if number not in crashed]
        if any(recorder.unsettled_count for recorder in alive):
            return True
        return bool(alive) and self._queued() > 0

    def _queued(self) -> int:
        with contextlib.closing(connect(self.broker)) as connection:
            channel = connection.channel()
            answers = [channel.queue_declare(each.name, passive=True) for each in self.topology.queues]
        return sum(answer.method.message_count for answer in answers)
