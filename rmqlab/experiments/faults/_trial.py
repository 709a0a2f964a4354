"""One trial: a client under load, a fault, and the outcome of the messages."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from rmqlab.broker import Link, Outage, OwnBroker
from rmqlab.errors import BrokerError
from rmqlab.experiments._pool import WorkerPool
from rmqlab.experiments.faults._job import Job, topology_of
from rmqlab.experiments.faults._kinds import FaultKind
from rmqlab.measure._account import Account
from rmqlab.measure._snapshots import Int64s

logger = logging.getLogger("rmqlab.experiments")

LOOK_EVERY_S = 0.05
BEGIN_TIMEOUT_S = 20
# How long after the broker is back a client may take to recover and to bring all to its end.
RECOVER_TIMEOUT_S = 30
COOLDOWN_S = 0.3  # under load, after the recovery
END_TIMEOUT_S = 5
# How long after the last delivery no other is expected any more.
QUIET_S = 3
NS_PER_S = 1_000_000_000


def run_trial(
    broker: OwnBroker, client: ModuleType, kind: FaultKind, queue_type: str, *, window: int = 1
) -> dict[str, Any]:
    """Let a client publish and consume, break the broker, and see the outcome of the messages.

    It ends when everything that was published is confirmed and received, or when that takes too
    long. The broker is well again then, and the trial's queue and connections are gone.

    The client has `publish(job)` and `consume(job)`, and keeps up to `window` messages unconfirmed.
    What is returned is what `break_everything` returns of a trial.

    Raises:
        BrokerError: the broker does not come back.
    """
    with Link(broker) as link:
        url = link.url if kind.by_link else broker.url
        job = Job(url, f"rmqlab-faults-{secrets.token_hex(4)}", queue_type, window)
        publisher, consumer = _Role("publisher", client.publish, job), _Role("consumer", client.consume, job)
        try:
            # Two clients that declare a new quorum queue at once may get INTERNAL_ERROR from RabbitMQ 4.0.
            topology_of(job).declare(broker)
            with WorkerPool(2, lambda number: (publisher, consumer)[number]) as pool:
                pool.begin()
                _until(lambda: job.ledger.received > 0 or bool(job.errors), BEGIN_TIMEOUT_S)
                time.sleep(kind.warmup_s)
                outage = kind.happen(broker, link, job.queue)
                hung = not _bring_to_end(broker, job, publisher.ended, outage.up_ns)
                job.stop()
                if not _until(lambda: publisher.ended.is_set() and consumer.ended.is_set(), END_TIMEOUT_S):
                    hung = True
                    broker.close_connections()  # who waits for an answer learns that there is none
        finally:
            with contextlib.suppress(BrokerError):  # the fault may have taken it
                broker.delete_queue(job.queue)
    row = _count(job.ledger.account(), outage, takes_queue=kind.takes_queue)
    return {**row, "republished": job.republished, "hung": hung, "error": "; ".join(job.errors)}


class _Role:
    """The publisher or the consumer of a client, for a `WorkerPool`; notes what ended it."""

    def __init__(self, name: str, work: Callable[[Job], None], job: Job) -> None:
        self.ended = threading.Event()
        self._name, self._work, self._job = name, work, job

    def run(self) -> None:
        try:
            self._work(self._job)
            if not self._job.ending.is_set():
                self._job.errors.append(f"{self._name}: ended by itself")
        except Exception as error:  # what ends a client is what the trial is to find out
            logger.debug("the %s ended", self._name, exc_info=True)
            line = f"{type(error).__name__}: {error}".partition("\n")[0]
            self._job.errors.append(f"{self._name}: {line[:200]}")
        finally:
            self.ended.set()

    def stop(self) -> None:
        self._job.stop()

    def close(self) -> None:
        """Leave it: each client closes what it opened."""


def _bring_to_end(broker: OwnBroker, job: Job, published_all: threading.Event, up_ns: int) -> bool:
    """Return True once the client is at work again and all is confirmed and received, if that comes."""
    deadline_s = time.monotonic() + RECOVER_TIMEOUT_S

    def left_s() -> float:
        return max(deadline_s - time.monotonic(), 0)

    recovered = _until(lambda: bool(job.errors) or _is_at_work(job.ledger.account(), up_ns), left_s())
    time.sleep(COOLDOWN_S)
    job.ending.set()
    done = published_all.wait(left_s()) and not job.errors
    last_s, received = time.monotonic(), -1
    while time.monotonic() - last_s < QUIET_S and left_s():
        account = job.ledger.account()
        if _is_settled(account) and not account.totals().lost_confirmed:
            break
        if job.ledger.received != received:
            last_s, received = time.monotonic(), job.ledger.received
        time.sleep(LOOK_EVERY_S)
    # A duplicate is behind the messages that it repeats: see whether there is one.
    with contextlib.suppress(BrokerError):
        broker.wait_for_queue(job.queue, ready=0, timeout_s=min(left_s(), QUIET_S))
        _until(lambda: _is_settled(job.ledger.account()), min(left_s(), QUIET_S))
    return recovered and done


def _is_at_work(account: Account, up_ns: int) -> bool:
    """Return True if a message that was published since was confirmed and delivered."""
    messages = account.messages
    since = messages[messages["published_ns"] > up_ns]
    return bool(((since["confirmed_ns"] > 0) & (since["delivered_ns"] > 0)).any())


def _is_settled(account: Account) -> bool:
    """Return True if all that was delivered is acknowledged."""
    messages = account.messages
    return bool((messages["settled_ns"][messages["delivered_ns"] > 0] > 0).all())


def _count(account: Account, outage: Outage, *, takes_queue: bool) -> dict[str, Any]:
    """Return the outcome of the messages, and how long that took."""
    totals, gone = account.totals(), _count_gone(account) if takes_queue else 0
    is_instant = outage.up_ns == outage.down_ns
    recover_s = _longest_gap_s if is_instant else _first_after_s
    return {
        "published": totals.published,
        "confirmed": totals.confirmed,
        "lost_confirmed": totals.lost_confirmed - gone,
        "gone_with_queue": gone,
        "duplicated": totals.duplicated,
        "redelivered": totals.redelivered,
        "unconfirmed": totals.published - totals.confirmed,
        "outage_s": (outage.up_ns - outage.down_ns) / NS_PER_S,
        "recover_publish_s": recover_s(account.messages["confirmed_ns"], outage.up_ns),
        "recover_consume_s": recover_s(account.deliveries["delivered_ns"], outage.up_ns),
    }


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


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return True as soon as something is so, or False if it is not within the time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True
