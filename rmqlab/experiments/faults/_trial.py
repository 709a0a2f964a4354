"""One trial: a client under load, a fault, and what became of the messages."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pika.exceptions import AMQPError

from rmqlab.amqp import Queue, Topology, connect
from rmqlab.broker import Broker, Link
from rmqlab.errors import BrokerError, ManagementError, TimeLimitError
from rmqlab.experiments.faults._clients import Client
from rmqlab.experiments.faults._job import Job
from rmqlab.experiments.faults._kinds import FaultKind, FaultTarget
from rmqlab.measure import Account, Load
from rmqlab.measure._recorders import Int64s

logger = logging.getLogger("rmqlab.experiments.faults")

LOOK_EVERY_S = 0.05
BEGIN_LIMIT_S = 20
END_LIMIT_S = 5
MAX_MESSAGES = 1_000_000
# How long after the last delivery no other is expected any more.
QUIET_S = 3
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a trial is done.

    Attributes:
        rate_msg_s: how many messages are published a second.
        body_bytes: size of a body, in bytes.
        heartbeat_s: what clients ask for, in seconds.
        warmup_s: for how long all is well before the fault, in seconds.
        lasting_s: how long a fault lasts that has no length of its own, in seconds; longer
            than two heartbeats.
        cooldown_s: for how long there is load after the recovery, in seconds.
        timeout_s: how long after the broker is back a client may take to recover, and
            then to bring all that was published to its end, before it counts as hung.
    """

    rate_msg_s: float = 300
    body_bytes: int = 256
    heartbeat_s: int = 2
    warmup_s: float = 1.5
    lasting_s: float = 6
    cooldown_s: float = 0.5
    timeout_s: float = 30


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a trial.

    Attributes:
        client, fault, queue_type, repeat: which it was.
        published: messages that the publisher was given, each counted once.
        confirmed: messages that the broker confirmed.
        lost_confirmed: confirmed, and never delivered; without those of `gone_with_queue`.
        gone_with_queue: confirmed, and never delivered, as their queue was deleted with them
            in it, or was not there.
        duplicated: messages delivered more than once.
        redelivered: deliveries that the broker flagged as possible repetitions.
        republished: how often the publisher sent a message once more.
        unconfirmed: messages without a confirm at the end.
        hung: whether the client did not recover, or left something undone.
        error: what ended the client, in a line; empty if nothing did.
        outage_s: for how long the broker was not there, in seconds.
        recover_publish_s: from when the broker was back until the first confirm, in seconds;
            for a fault without length, the longest time without a confirm from the fault on.
            NaN if there was none.
        recover_consume_s: the same for deliveries.
    """

    client: str
    fault: str
    queue_type: str
    repeat: int
    published: int
    confirmed: int
    lost_confirmed: int
    gone_with_queue: int
    duplicated: int
    redelivered: int
    republished: int
    unconfirmed: int
    hung: bool
    error: str
    outage_s: float
    recover_publish_s: float
    recover_consume_s: float


def run_trial(
    broker: Broker,
    client: Client,
    kind: FaultKind,
    queue_type: str,
    *,
    repeat: int = 1,
    settings: Settings | None = None,
) -> Trial:
    """Let a client publish and consume, break the broker, and see what becomes of the messages.

    It ends when everything that was published is confirmed and received, or when that takes
    too long. The broker is well again then, and the trial's queue and connections are gone.

    Args:
        broker: a broker of our own: `start_broker(own=True)`.
        client: who publishes and consumes.
        kind: what is to happen.
        queue_type: `classic` or `quorum`.
        repeat: number of the repeat.
        settings: how it is done; None takes the defaults.

    Raises:
        BrokerError: the broker does not come back, or the client did not even begin.
        FaultError: the broker is not ours to break.
    """
    settings = settings or Settings()
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(_queue(broker, queue_type))
        declared_s = time.monotonic()
        link = stack.enter_context(Link(broker)) if kind.by_link else None
        job = Job(
            link.url if link else broker.url,
            queue,
            {"x-queue-type": queue_type},
            settings.rate_msg_s,
            settings.heartbeat_s,
            Load(MAX_MESSAGES, settings.body_bytes),
        )
        work = stack.enter_context(_at_work(broker, client, job))
        _until(lambda: job.ledger.received > 0 or bool(work.errors), BEGIN_LIMIT_S)
        if not job.ledger.received:
            raise TimeLimitError(
                f"{client.name} did not begin within {BEGIN_LIMIT_S} s ({work.error or 'no error'}). "
                "Next: see that the broker is well"
            )
        work.ended.wait(settings.warmup_s)
        outage = kind.happen(FaultTarget(broker, link, queue, declared_s, settings.lasting_s * kind.times))
        hung = not _bring_to_end(job, work, outage.up_ns, settings)
        job.stop()
        account = job.ledger.account()
        hung = not work.join(END_LIMIT_S) or hung
    totals, gone = account.totals(), _count_gone(account) if kind.takes_queue else 0
    recover_s = _longest_gap_s if kind.is_instant else _first_after_s
    since_ns = outage.down_ns if kind.is_instant else outage.up_ns
    return Trial(
        client.name,
        kind.name,
        queue_type,
        repeat,
        published=totals.published,
        confirmed=totals.confirmed,
        lost_confirmed=totals.lost_confirmed - gone,
        gone_with_queue=gone,
        duplicated=totals.duplicated,
        redelivered=totals.redelivered,
        republished=job.republished,
        unconfirmed=totals.published - totals.confirmed,
        hung=hung,
        error=work.error,
        outage_s=(outage.up_ns - outage.down_ns) / NS_PER_S,
        recover_publish_s=recover_s(account.messages["confirmed_ns"], since_ns),
        recover_consume_s=recover_s(account.deliveries["delivered_ns"], since_ns),
    )


class _Work:
    """The two threads of a client, and what ended them."""

    def __init__(self, client: Client, job: Job) -> None:
        self.errors: list[str] = []
        self.ended = threading.Event()
        self._job = job
        self.publisher = self._thread("publisher", client.publish)
        self.consumer = self._thread("consumer", client.consume)

    def _thread(self, name: str, work: Callable[[Job], None]) -> threading.Thread:
        def run() -> None:
            why = "ended by itself"
            try:
                work(self._job)
            except Exception as error:  # what ends a client is what the trial is to find out
                logger.debug("the %s ended", name, exc_info=True)
                why = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            else:
                if self._job.ending.is_set():
                    return
            self.errors.append(f"{name}: {why}")
            self.ended.set()

        return threading.Thread(target=run, name=f"rmqlab-faults-{name}", daemon=True)

    @property
    def error(self) -> str:
        return "; ".join(self.errors)

    def start(self) -> None:
        self.consumer.start()
        self.publisher.start()

    def join(self, seconds: float) -> bool:
        deadline_s = time.monotonic() + seconds
        for thread in (self.publisher, self.consumer):
            thread.join(max(deadline_s - time.monotonic(), 0))
        return not (self.publisher.is_alive() or self.consumer.is_alive())


@contextlib.contextmanager
def _at_work(broker: Broker, client: Client, job: Job) -> Iterator[_Work]:
    client.load()
    work = _Work(client, job)
    work.start()
    try:
        yield work
    finally:
        job.stop()
        if not work.join(END_LIMIT_S):
            # Who waits for an answer for ever is told that there will be none.
            with contextlib.suppress(BrokerError, ManagementError):
                broker.close_connections()
            if not work.join(END_LIMIT_S):
                logger.warning("%s does not end; its threads are left to themselves", client.name)


@contextlib.contextmanager
def _queue(broker: Broker, queue_type: str) -> Iterator[str]:
    """Declare a durable queue with a name of its own, and delete it at the end."""
    queue = Queue(name=f"rmqlab-faults-{secrets.token_hex(4)}", type=queue_type)  # type: ignore[arg-type]
    with contextlib.closing(connect(broker, name="rmqlab faults")) as connection:
        Topology(queues=(queue,)).declare(connection.channel())
    try:
        yield queue.name
    finally:
        # A broker that is gone has taken the queue with it.
        with contextlib.suppress(BrokerError, AMQPError), contextlib.closing(connect(broker)) as connection:
            connection.channel().queue_delete(queue.name)


def _bring_to_end(job: Job, work: _Work, up_ns: int, settings: Settings) -> bool:
    """Wait until the client is at work again, and then until all is confirmed and received.

    Returns:
        Whether that was so within the time limit.
    """
    deadline_s = time.monotonic() + settings.timeout_s

    def left_s() -> float:
        return max(deadline_s - time.monotonic(), 0)

    recovered = _until(lambda: bool(work.errors) or _is_at_work(job.ledger.account(), up_ns), left_s())
    if recovered:
        work.ended.wait(settings.cooldown_s)
    job.ending.set()
    work.publisher.join(left_s())
    done = not work.publisher.is_alive() and not work.errors
    since_s, received = time.monotonic(), -1
    while time.monotonic() - since_s < QUIET_S and left_s() and job.ledger.totals().lost_confirmed:
        if job.ledger.received != received:
            since_s, received = time.monotonic(), job.ledger.received
        time.sleep(LOOK_EVERY_S)
    # A duplicate is behind the messages that it repeats: see whether there is one.
    _until(lambda: _is_empty(job), min(left_s(), QUIET_S))
    return recovered and done


def _is_empty(job: Job) -> bool:
    """Say whether all deliveries are acknowledged, and no message waits in the queue."""
    try:
        with contextlib.closing(connect(job.url)) as connection:
            waiting = connection.channel().queue_declare(job.queue, passive=True).method.message_count
    except (BrokerError, AMQPError):
        return False
    messages = job.ledger.account().messages
    return waiting == 0 and bool((messages["settled_ns"][messages["delivered_ns"] > 0] > 0).all())


def _is_at_work(account: Account, up_ns: int) -> bool:
    """Say whether a message that was published since was confirmed and delivered."""
    messages = account.messages
    since = messages[messages["published_ns"] > up_ns]
    return bool(((since["confirmed_ns"] > 0) & (since["delivered_ns"] > 0)).any())


def _count_gone(account: Account) -> int:
    """Count what was in the queue that was deleted, or came before there was a new one.

    One publisher, one queue: they are the first stretch of messages that are missing.
    """
    messages = account.messages
    missing = np.flatnonzero((messages["confirmed_ns"] > 0) & (messages["deliveries"] == 0))
    return int((np.diff(missing, prepend=missing[:1] - 1) == 1).cumprod().sum())


def _first_after_s(times_ns: Int64s, since_ns: int) -> float:
    later = times_ns[times_ns >= since_ns]
    return float(later.min() - since_ns) / NS_PER_S if len(later) else math.nan


def _longest_gap_s(times_ns: Int64s, since_ns: int) -> float:
    later = np.sort(times_ns[times_ns >= since_ns])
    return float(np.diff(later, prepend=since_ns).max()) / NS_PER_S if len(later) else math.nan


def _until(condition: Callable[[], bool], time_limit_s: float) -> bool:
    """Look until something is so; say whether it was within the time limit."""
    deadline_s = time.monotonic() + time_limit_s
    while not condition():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True
