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
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._workload import Workload

LOOK_EVERY_S = 0.1


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
    ledger = Ledger(len(workload))
    _empty_queue(broker)
    if not replay:
        _publish(broker, workload, ledger)

    def hire(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            workload.execute,
            name=f"worker-{number + 1}",
            prefetch_count=prefetch_count,
            on_failure="reject",
            observer=ledger,
        )

    with Crew(workers, hire) as crew:
        started_s = time.perf_counter()
        crew.begin()
        with _publishing(broker, workload, ledger) if replay else contextlib.nullcontext() as publisher:
            _wait(
                ledger, crew, publisher, deadline_s=started_s + time_limit_s, show=progress, workers=workers
            )
    return Run(
        workload=workload,
        ledger=ledger,
        rabbitmq=broker.version,
        workers=workers,
        prefetch=prefetch_count,
        started_s=started_s,
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
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        declare_tasks(channel)
        channel.queue_purge(names.TASKS)


def _publish(broker: Broker, workload: Workload, ledger: Ledger) -> None:
    with EngineAPI(broker) as api:
        for message, job in enumerate(workload):
            ledger.published(message)
            api.publish_task(job.task, message_id=str(message))


@contextlib.contextmanager
def _publishing(broker: Broker, workload: Workload, ledger: Ledger) -> Iterator[Future[None]]:
    """Publish each task when it arrives, in a thread, until the block is left."""
    left = threading.Event()

    def publish() -> None:
        with EngineAPI(broker) as api:
            started_s = time.perf_counter()
            for message, job in enumerate(workload):
                due_s = started_s + job.arrival_s
                while not left.is_set() and (wait_s := due_s - time.perf_counter()) > 0:
                    api.wait(min(wait_s, LOOK_EVERY_S))
                if left.is_set():
                    return
                ledger.published(message)
                api.publish_task(job.task, message_id=str(message))

    with ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread:
        try:
            yield thread.submit(publish)
        finally:
            left.set()


def _wait(
    ledger: Ledger, crew: Crew, publisher: Future[None] | None, *, deadline_s: float, show: bool, workers: int
) -> None:
    label = f"{workers} worker{'s' if workers > 1 else ''}"
    # On standard output, as JupyterLab paints standard error like a warning.
    with tqdm(
        total=ledger.expected, desc=f"{label:>10}", unit="task", file=sys.stdout, disable=not show
    ) as bar:
        while not ledger.complete.wait(LOOK_EVERY_S):
            bar.update(ledger.done - bar.n)
            crew.check()
            if publisher and publisher.done():
                publisher.result()
            if time.perf_counter() > deadline_s:
                raise BrokerError(
                    f"Only {ledger.done} of {ledger.expected} tasks were done within the time limit. "
                    "Next: give more workers, fewer tasks or a longer time_limit_s"
                )
        bar.update(ledger.done - bar.n)
