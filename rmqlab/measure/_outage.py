"""What becomes of programs, and of their messages, while a broker is broken on purpose."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from rmqlab import names
from rmqlab.amqp import ConnectionEvent, Consumer, Publisher, Queue, Recovery, Topology, connect
from rmqlab.broker import Broker, Link, Outage
from rmqlab.engine import TOPOLOGY, EngineAPI, EngineWorker, Task
from rmqlab.errors import BrokerError, StoppedError
from rmqlab.measure._crew import Crew
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._recorders import PublishRecorder
from rmqlab.measure._report import Report, provenance

if TYPE_CHECKING:
    import pandas as pd

LOOK_EVERY_S = 0.02
END_TIMEOUT_S = 10
NS_PER_S = 1_000_000_000
LOSSES = ("lost", "cancelled")
HELD = "engine:tasks:held"  # the queue of what a silent worker holds


# --- programs of the reader's own -----------------------------------------------------------


def try_programs(
    programs: Mapping[str, Callable[[], object]],
    faults: Mapping[str, Callable[[], object]],
    *,
    begin: Callable[[], object],
    end: Callable[[], object],
    patience_s: float = 1.0,
) -> pd.DataFrame:
    """Run programs, break their broker, and see whether each ends, and how.

    For each fault, all programs are started anew, each in a thread.

    Args:
        programs: for each program's name, what runs it until it ends by itself.
        faults: for each fault's name, what makes it happen, and returns when it is over.
        begin: called once the programs are started; returns when they are at work.
        end: called when the outcome is known; ends programs that still run.
        patience_s: how long after a fault a program that has not ended counts as going on,
            in seconds.

    Returns:
        One row a fault and program: fault, program, outcome (`dies`, of an exception;
        `returns`; `goes on`), error (class of the exception; empty without one), after_s (when
        it ended, from its start; NaN if it goes on).

    Raises:
        BrokerError: a program does not end when it should.
    """
    import pandas as pd

    rows = []
    for fault, happen in faults.items():
        threads = {name: _Program(name, program) for name, program in programs.items()}
        try:
            begin()
            happen()
            deadline_s = time.monotonic() + patience_s
            for each in threads.values():
                each.thread.join(max(deadline_s - time.monotonic(), 0))
            rows += [{"fault": fault, "program": name, **each.outcome()} for name, each in threads.items()]
        finally:
            end()
            for each in threads.values():
                each.thread.join(END_TIMEOUT_S)
        if late := [name for name, each in threads.items() if each.thread.is_alive()]:
            raise BrokerError(
                f"The program {late[0]!r} still runs. Next: give an `end` that closes its connection"
            )
    return pd.DataFrame(rows)


class _Program:
    """A program in a thread, and how it ended."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self._run = run
        self._error: BaseException | None = None
        self._lasted_s = math.nan
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        started_s = time.perf_counter()
        try:
            self._run()
        except Exception as error:
            self._error = error
        self._lasted_s = time.perf_counter() - started_s

    def outcome(self) -> dict[str, Any]:
        if self.thread.is_alive():
            return {"outcome": "goes on", "error": "", "after_s": math.nan}
        error = "" if self._error is None else type(self._error).__name__
        return {"outcome": "dies" if error else "returns", "error": error, "after_s": self._lasted_s}


# --- the engine, with a recovery ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endured:
    """What an Engine API and its workers lived through.

    Attributes:
        ledger: what became of each task, whose number is its message id.
        happenings: each fault, as it happened: when it began, in nanoseconds of the ledger's
            clock, and the outage that it was.
        told: every event of every connection, in the order of time.
        republished: how many tasks the API published again after it had lost its connection.
        provenance: where it was measured.
    """

    ledger: Ledger
    happenings: tuple[tuple[int, Outage], ...]
    told: tuple[ConnectionEvent, ...]
    republished: int
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Endured {len(self.happenings)} faults: {self.ledger.published} tasks>"

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
        import numpy as np
        import pandas as pd

        account = self.ledger.account()
        delivered_ns = np.sort(account.deliveries["delivered_ns"])
        started_ns = int(account.messages["published_ns"].min())
        ends = [begin_ns for begin_ns, _ in self.happenings[1:]] + [sys.maxsize]
        rows = []
        for (begin_ns, outage), end_ns in zip(self.happenings, ends, strict=True):
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
            One row an event: time_s, client, event (its kind), in_hand (how many tasks a worker
            held that will come again), detail.
        """
        import pandas as pd

        started_ns = self.started_ns
        rows = [
            {
                "time_s": (each.at_ns - started_ns) / NS_PER_S,
                "client": each.name,
                "event": each.kind,
                "in_hand": len(each.messages),
                "detail": each.detail,
            }
            for each in self.told
        ]
        return pd.DataFrame(rows, columns=["time_s", "client", "event", "in_hand", "detail"])

    def in_hand(self) -> set[int]:
        """Give the numbers of the tasks that workers held when they lost their connections."""
        return {int(message) for each in self.told for message in each.messages if message is not None}

    def delivered_again(self) -> set[int]:
        """Give the numbers of the tasks that were delivered more than once."""
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
        import pandas as pd

        begins = [begin_ns for begin_ns, _ in self.happenings] + [sys.maxsize]
        rows = []
        for number, (_, outage) in enumerate(self.happenings):
            during = [each for each in self.told if begins[number] <= each.at_ns < begins[number + 1]]
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


def run_through(
    broker: Broker,
    faults: Mapping[str, Callable[[], object]],
    *,
    recovery: Recovery | None = None,
    execute: Callable[[Task], object] | None = None,
    workers: int = 8,
    rate_msg_s: float = 100,
    repeats: int = 1,
    calm_s: float = 1.0,
    time_limit_s: float = 60,
    progress: bool = True,
) -> Endured:
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
        calm_s: how long all has to be well before the first fault and after each, in seconds.
        time_limit_s: give up when it takes longer until all is well.
        progress: whether to show a progress bar.

    Raises:
        BrokerError: API or a worker gave up, or all was not well within the time limit.
    """
    recovery = recovery or Recovery()
    told = _Told(recovery.on_event)
    recovery = dataclasses.replace(recovery, on_event=told)
    ledger = Ledger()
    consuming = [ledger.consumer(f"worker-{number + 1}", identify=by_message_id) for number in range(workers)]
    source = _Source(broker, rate_msg_s, recovery, ledger.publisher("engine-api", identify=by_message_id))
    TOPOLOGY.declare(broker)
    _purge(broker)

    def hire(number: int) -> EngineWorker:
        return EngineWorker(
            broker,
            execute or _work_briefly,
            name=consuming[number].name,
            recovery=recovery,
            observer=consuming[number],
        )

    happenings: list[tuple[int, Outage]] = []
    with Crew(workers, hire) as crew, source.publishing():
        crew.begin()

        def wait_until(condition: Callable[[], bool], lasting_s: float) -> None:
            def check() -> None:
                crew.check()
                source.check()

            _wait_until(condition, lasting_s, time_limit_s, check=check)

        def is_well() -> bool:
            return told.all_is_well() and ledger.done > done_before

        done_before = 0
        wait_until(is_well, calm_s)
        for name, happen in tqdm(
            list(faults.items()) * repeats, unit="fault", file=sys.stdout, disable=not progress
        ):
            begin_ns = time.perf_counter_ns()
            outage = happen()
            done_before = ledger.published
            wait_until(is_well, calm_s)
            if not isinstance(outage, Outage):  # it does not last: it was when somebody noticed
                first_ns = told.first_loss_ns(begin_ns)
                outage = Outage(name, first_ns, first_ns)
            happenings.append((begin_ns, dataclasses.replace(outage, fault=name)))
        source.end()
        wait_until(lambda: source.has_ended and ledger.done == ledger.published, 0)
        broker.wait_for_queue(names.TASKS, ready=0)  # what was published twice is done twice
    return Endured(
        ledger=ledger,
        happenings=tuple(happenings),
        told=tuple(sorted(told, key=lambda each: each.at_ns)),
        republished=source.republished,
        provenance=provenance(broker),
    )


def _work_briefly(_: Task) -> None:
    time.sleep(0.02)


def _purge(broker: Broker) -> None:
    with contextlib.closing(connect(broker)) as connection:
        for queue in TOPOLOGY.queues:
            connection.channel().queue_purge(queue.name)


def _wait_until(
    condition: Callable[[], bool], lasting_s: float, time_limit_s: float, *, check: Callable[[], object]
) -> None:
    """Wait until something has been so for a while."""
    deadline_s = time.monotonic() + time_limit_s + lasting_s
    since_s = math.inf
    while True:
        check()
        now_s = time.monotonic()
        since_s = min(since_s, now_s) if condition() else math.inf
        if now_s - since_s >= lasting_s:
            return
        if now_s > deadline_s:
            raise BrokerError(
                f"Not all was well again within {time_limit_s:g} s. "
                "Next: see how busy the machine and the broker are, or give a longer time_limit_s"
            )
        time.sleep(LOOK_EVERY_S)


class _Told(list[ConnectionEvent]):
    """Keeps what connections tell, and tells it on."""

    def __init__(self, hook: Callable[[ConnectionEvent], object] | None) -> None:
        super().__init__()
        self._hook = hook

    def __call__(self, event: ConnectionEvent) -> None:
        self.append(event)
        if self._hook is not None:
            self._hook(event)

    def first_loss_ns(self, since_ns: int) -> int:
        """Give when the first connection was lost since then; or then, if none was."""
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


# --- a network that is cut ------------------------------------------------------------------


def notice_cut(broker: Broker, *, heartbeats_s: Sequence[int], within_s: float) -> pd.DataFrame:
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
    import pandas as pd

    with Link(broker) as link, contextlib.ExitStack() as stack:
        holders = [_Holder(broker, link, heartbeat_s) for heartbeat_s in heartbeats_s]
        for each in holders:
            stack.enter_context(each.at_work())
        cut = stack.enter_context(link.cut())
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
        self._held = threading.Event()
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
                if not self._held.wait(END_TIMEOUT_S):
                    raise BrokerError("No task came over the link. Next: see how busy the broker is")
                runs.append(threads.submit(beside.run))
                yield
            finally:
                self._let_go.set()
                beside.stop()
                holder.stop()
                wait(runs)  # a connection belongs to one thread, which closes it only then

    def _hold(self, *_: object) -> None:
        self._held.set()
        self._let_go.wait()

    def _take(self, *_: object) -> None:
        self._moved_ns = self._moved_ns or time.perf_counter_ns()

    def _on_event(self, event: ConnectionEvent) -> None:
        if event.kind == "lost":
            self._noticed_ns = self._noticed_ns or event.at_ns
