"""Run a workload through workers, and record what happens to each task."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from tqdm import tqdm

from rmqlab import names
from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, EngineWorker, declare_tasks
from rmqlab.errors import BrokerError
from rmqlab.measure._crew import Crew
from rmqlab.measure._frames import Run, Runs
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._recorders import PublishRecorder
from rmqlab.measure._workload import Workload

LOOK_EVERY_S = 0.05


def run_workload(
    broker: Broker,
    workload: Workload,
    *,
    workers: int = 1,
    prefetch_count: int = 1,
    replay: bool = False,
    time_limit_s: float = 120,
    progress: bool = True,
) -> Run:
    """Publish a workload to `engine:tasks` and let workers do it, each in a thread.

    The queue is emptied first. Each worker has a connection of its own, and all of them
    begin to consume at the same moment.

    Args:
        broker: a running broker.
        workload: the tasks.
        workers: how many workers.
        prefetch_count: how many unacknowledged messages a worker is handed at a time.
        replay: whether to publish each task at its time of arrival, while the workers work.
            Otherwise all are in the queue before the workers begin.
        time_limit_s: give up after this many seconds.
        progress: whether to show a progress bar.

    Raises:
        BrokerError: a worker failed, or the time limit passed before all tasks were done.
        ValueError: an argument is out of range.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; it goes from 1")
    if not workload.jobs:
        raise ValueError("the workload has no tasks; a run needs one at least")
    ledger = Ledger()
    publishing = ledger.publisher("engine-api", identify=by_message_id)
    consuming = [ledger.consumer(f"worker-{number + 1}", identify=by_message_id) for number in range(workers)]
    _empty_queue(broker)
    if not replay:
        _publish(broker, workload, publishing)

    def hire(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            workload.execute,
            name=consuming[number].name,
            prefetch_count=prefetch_count,
            on_failure="reject",
            observer=consuming[number],
        )

    with Crew(workers, hire) as crew:
        started_ns = time.monotonic_ns()
        crew.begin()
        with _publishing(broker, workload, publishing) if replay else contextlib.nullcontext() as publisher:
            _wait(
                ledger,
                crew,
                publisher,
                expected=len(workload),
                deadline_s=time.monotonic() + time_limit_s,
                show=progress,
            )
    return Run(
        workload=workload,
        ledger=ledger,
        rabbitmq=broker.version,
        workers=workers,
        prefetch=prefetch_count,
        started_ns=started_ns,
    )


def run_each(
    broker: Broker,
    workload: Workload,
    *,
    workers: Iterable[int],
    prefetch_count: int = 1,
    replay: bool = False,
    time_limit_s: float = 120,
    progress: bool = True,
) -> Runs:
    """Run a workload once for each number of workers.

    Args:
        broker: a running broker.
        workload: the tasks.
        workers: numbers of workers, such as `[1, 2, 4, 8]`.
        prefetch_count: as in `run_workload`, and so are the others.
        replay: whether tasks are published at their time of arrival.
        time_limit_s: for each run.
        progress: whether to show a progress bar for each run.

    Raises:
        BrokerError: a worker failed, or a time limit passed.
    """
    return Runs(
        tuple(
            run_workload(
                broker,
                workload,
                workers=each,
                prefetch_count=prefetch_count,
                replay=replay,
                time_limit_s=time_limit_s,
                progress=progress,
            )
            for each in workers
        )
    )


def _empty_queue(broker: Broker) -> None:
    declare_tasks(broker)
    with contextlib.closing(connect(broker)) as connection:
        connection.channel().queue_purge(names.TASKS)


def _publish(broker: Broker, workload: Workload, recorder: PublishRecorder) -> None:
    with EngineAPI(broker, observer=recorder) as api:
        for message, job in enumerate(workload):
            api.publish_task(job.task, message_id=str(message))


@contextlib.contextmanager
def _publishing(broker: Broker, workload: Workload, recorder: PublishRecorder) -> Iterator[Future[None]]:
    """Publish each task when it arrives, in a thread, until the block is left."""
    left = threading.Event()

    def publish() -> None:
        with EngineAPI(broker, observer=recorder) as api:
            started_s = time.monotonic()
            for message, job in enumerate(workload):
                due_s = started_s + job.arrival_s
                while not left.is_set() and (wait_s := due_s - time.monotonic()) > 0:
                    api.wait(min(wait_s, LOOK_EVERY_S))
                if left.is_set():
                    return
                api.publish_task(job.task, message_id=str(message))

    with ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread:
        try:
            yield thread.submit(publish)
        finally:
            left.set()


def _wait(
    ledger: Ledger,
    crew: Crew,
    publisher: Future[None] | None,
    *,
    expected: int,
    deadline_s: float,
    show: bool,
) -> None:
    """Wait until every task is done, and raise what ends a worker or the publisher before."""
    label = f"{len(crew)} worker{'s' if len(crew) > 1 else ''}"
    # On standard output, as JupyterLab paints standard error like a warning.
    with tqdm(total=expected, desc=f"{label:>10}", unit="task", file=sys.stdout, disable=not show) as bar:
        while (done := ledger.done) < expected:
            bar.update(done - bar.n)
            crew.check()
            if publisher and publisher.done():
                publisher.result()
            if time.monotonic() > deadline_s:
                raise BrokerError(
                    f"Only {done} of {expected} tasks were done within the time limit. "
                    "Next: give more workers, fewer tasks or a longer time_limit_s"
                )
            time.sleep(LOOK_EVERY_S)
        bar.update(done - bar.n)
