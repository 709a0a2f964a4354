"""The system under a player's hands: a publisher, workers, and what one can do to them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from pika.exceptions import AMQPError

from rmqlab import names
from rmqlab.amqp import Crash, Queue, Recovery, Topology, ack_each, ack_every, auto_ack, purge
from rmqlab.amqp._work import FailurePolicy
from rmqlab.broker import Link, OwnBroker
from rmqlab.closing import Closing
from rmqlab.engine import EngineAPI, EngineWorker, Task
from rmqlab.errors import RmqlabError
from rmqlab.playground._counts import Counts, Hand

QUEUES = {
    "classic": Queue(name=names.TASKS),
    "quorum": Queue(name="engine:tasks:quorum", type="quorum"),
    "priority": Queue(name="engine:tasks:priority", max_priority=1),
}
ACKS = {"each": ack_each(), "every 10": ack_every(10), "automatic": auto_ack()}
SPREADS: dict[str, Callable[[], float]] = {
    "constant": lambda: 1.0,
    "exponential": lambda: random.expovariate(1),
    "heavy tail": lambda: random.paretovariate(1.5) / 3,  # mean 1
}
TROUBLE_S = 2.0  # how long the broker is frozen, or the network cut
RECOVERY = Recovery(first_wait_s=0.1, longest_wait_s=1)
JOIN_S = 10
MOST_WORK_S = 2.0
LOOK_EVERY_S = 0.05  # for other settings

logger = logging.getLogger("rmqlab.playground")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controls say.

    Attributes:
        rate_msg_s: tasks published per second; 0 pauses the publisher.
        high_percent: how many of a hundred tasks are of high priority.
        work_ms: how long a task takes, in the mean.
        spread: how much that differs: `constant`, `exponential` or `heavy tail`.
        workers: how many there are.
        prefetch: how many unacknowledged messages each has at most; 0 is no limit.
        ack: `each`, `every 10` or `automatic`.
        on_failure: what happens to a task that fails: `requeue` or `reject`.
        queue: `classic`, `quorum` or `priority`.
    """

    rate_msg_s: int = 20
    high_percent: int = 0
    work_ms: int = 50
    spread: str = "constant"
    workers: int = 3
    prefetch: int = 1
    ack: str = "each"
    on_failure: FailurePolicy = "requeue"
    queue: str = "classic"


class _Member:
    """A worker of the system, in a thread of its own, with a network of its own."""

    def __init__(self, system: System, name: str) -> None:
        self.name = name
        self.hand = Hand(system.counts)
        self.killed = threading.Event()
        self.link = Link(system.broker)
        self._system = system
        settings = system.settings
        ack = ACKS[settings.ack]
        try:
            self.worker = EngineWorker(
                self.link.url,
                self._execute,
                name=name,
                queue=QUEUES[settings.queue].name,
                prefetch_count=max(settings.prefetch, ack.every or 0) if settings.prefetch else 0,
                ack=ack,
                on_failure=settings.on_failure,
                topology=Topology(queues=(QUEUES[settings.queue],)),
                recovery=RECOVERY,
                observer=self.hand,
            )
        except BaseException:
            self.link.close()
            raise
        self.thread = threading.Thread(target=self._run, name=f"rmqlab-playground-{name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with contextlib.suppress(Crash):
                self.worker.run()
        except RmqlabError as error:
            logger.info("%s ends: %s", self.name, error)
        finally:
            self.hand.end()
            with contextlib.suppress(RmqlabError):
                self.worker.close()
            self.link.close()

    def _execute(self, task: Task) -> None:
        counts, settings = self._system.counts, self._system.settings
        number = task.data["number"]
        counts.begun(number, is_high=task.data["high"])
        work_s = min(settings.work_ms / 1000 * SPREADS[settings.spread](), MOST_WORK_S)
        if self.killed.wait(work_s):
            raise Crash
        if task.data["poison"]:
            raise ValueError("poison")
        counts.finished(number)


class System(Closing):
    """A publisher, workers, and a broker to be broken.

    `change` and `act` return at once: a thread of the system does what they ask for.

    Args:
        broker: a broker of one's own; it is not stopped.

    Attributes:
        settings: what the controls say now.
        counts: what happened so far.
    """

    def __init__(self, broker: OwnBroker) -> None:
        self.broker = broker
        self.settings = Settings()
        self.counts = Counts()
        self.members: list[_Member] = []
        self._names = (f"worker-{number}" for number in itertools.count(1))
        self._numbers = itertools.count(1)  # of the tasks
        self._ended = threading.Event()
        self._commands: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._link = Link(broker)
        self._api: EngineAPI | None = None
        self._trouble: threading.Thread | None = None
        self._threads = [
            threading.Thread(target=target, name=f"rmqlab-playground-{name}", daemon=True)
            for name, target in (("control", self._control), ("publisher", self._publish))
        ]
        self._commands.put(self._reconcile)
        for thread in self._threads:
            thread.start()

    def change(self, **settings: Any) -> None:
        """Change settings, by name."""
        before, self.settings = self.settings, replace(self.settings, **settings)
        kinds = ("prefetch", "ack", "on_failure", "queue")
        if any(getattr(before, name) != getattr(self.settings, name) for name in kinds):
            self._commands.put(self._renew)
        elif before.workers != self.settings.workers:
            self._commands.put(self._reconcile)

    def act(self, action: str) -> None:
        """Do something to the system: one of `ACTIONS`."""
        self._commands.put(lambda: ACTIONS[action](self))

    def close(self) -> None:
        """End the publisher and all workers, and delete their queues. Safe to call twice."""
        self._ended.set()
        self._commands.put(lambda: None)
        if api := self._api:
            api.stop()
        for thread in [*self._threads, *filter(None, [self._trouble])]:
            thread.join(JOIN_S)
        self._stop(self.members)
        self._link.close()
        with contextlib.suppress(RmqlabError):  # the broker has ended before
            Topology(queues=tuple(QUEUES.values())).delete(self.broker)

    # --- what its threads do --------------------------------------------------------------

    def _control(self) -> None:
        while not self._ended.is_set():
            command = self._commands.get()
            try:
                if not self._ended.is_set():
                    command()
            except (RmqlabError, AMQPError, OSError) as error:
                logger.info("not done: %s", error)
                if not self._ended.wait(0.5) and command in (self._reconcile, self._renew):
                    self._commands.put(self._reconcile)  # the broker is away: later

    def _renew(self) -> None:
        self._stop(self.members)
        self._reconcile()

    def _reconcile(self) -> None:
        """Make as many workers as there are to be, or end some."""
        wanted = self.settings.workers
        self._stop(self.members[wanted:])
        while len(self.members) < wanted and not self._ended.is_set():
            self.members.append(_Member(self, next(self._names)))

    def _stop(self, members: list[_Member]) -> None:
        for member in members:
            member.worker.stop()
        for member in members:
            member.thread.join(JOIN_S)
        self.members = [each for each in self.members if each not in members]

    def _publish(self) -> None:
        while not self._ended.is_set():
            queue = QUEUES[self.settings.queue]
            try:
                topology = Topology(queues=(queue,))
                with EngineAPI(self._link.url, topology=topology, recovery=RECOVERY) as self._api:
                    self._publish_to(self._api, queue)
            except RmqlabError as error:
                logger.info("publishing again: %s", error)
                self._ended.wait(0.5)
            finally:
                self._api = None

    def _publish_to(self, api: EngineAPI, queue: Queue) -> None:
        """Publish until the end, or until it is to be another queue."""
        due_s = time.perf_counter()
        while not self._ended.is_set() and QUEUES[(settings := self.settings).queue] is queue:
            wait_s = due_s - time.perf_counter() if settings.rate_msg_s else LOOK_EVERY_S
            if wait_s > 0:
                api.wait(min(wait_s, LOOK_EVERY_S))
            else:
                self._publish_one(api, queue)
                due_s = max(due_s + 1 / settings.rate_msg_s, time.perf_counter() - 0.1)

    def _publish_one(self, api: EngineAPI, queue: Queue, *, is_poison: bool = False) -> None:
        number = next(self._numbers)
        is_high = random.random() * 100 < self.settings.high_percent  # noqa: S311
        self.counts.published(number, is_poison=is_poison)
        api.publish_task(
            Task(f"engine-{number}", "process", {"number": number, "high": is_high, "poison": is_poison}),
            queue=queue.name,
            priority=int(is_high) if queue.max_priority else None,
        )

    # --- what a player can do to it -------------------------------------------------------

    def _kill(self) -> None:
        if self.members:
            member = max(self.members, key=lambda each: each.hand.held)
            self.settings = replace(self.settings, workers=len(self.members) - 1)
            self.counts.kills.append((member.hand.held, self.counts.lost))
            member.killed.set()
            self._stop([member])

    def _drop(self) -> None:
        if self.members:
            max(self.members, key=lambda each: each.hand.held).link.drop()

    def _freeze(self) -> None:
        self._for_a_while(self.broker.paused)
        self.counts.freezes += 1

    def _cut(self) -> None:
        links = [self._link, *(member.link for member in self.members)]

        def cut() -> contextlib.ExitStack:
            with contextlib.ExitStack() as stack:
                for link in links:
                    stack.enter_context(link.partitioned())
                return stack.pop_all()

        self._for_a_while(cut)

    def _for_a_while(self, trouble: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        """Make a trouble that ends by itself; while there is one, no other begins."""
        if self._trouble and self._trouble.is_alive():
            return

        def happen() -> None:
            with contextlib.suppress(RmqlabError), trouble():
                self._ended.wait(TROUBLE_S)

        self._trouble = threading.Thread(target=happen, name="rmqlab-playground-trouble", daemon=True)
        self._trouble.start()

    def _poison(self) -> None:
        queue = QUEUES[self.settings.queue]
        with EngineAPI(self.broker, topology=Topology(queues=(queue,))) as api:
            self._publish_one(api, queue, is_poison=True)

    def _empty(self) -> None:
        purge(self.broker, QUEUES[self.settings.queue].name)
        self.counts.forget()
        self.counts.emptied += 1


ACTIONS: dict[str, Callable[[System], None]] = {
    "Kill a worker": System._kill,
    "Drop its connection": System._drop,
    "Freeze the broker": System._freeze,
    "Cut the network": System._cut,
    "Poison a task": System._poison,
    "Empty the queue": System._empty,
}
