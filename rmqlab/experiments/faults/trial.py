"""One trial: a client under load, a fault, and the outcome of the messages."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from rmqlab.broker import Link, Outage, OwnBroker
from rmqlab.errors import BrokerError
from rmqlab.experiments.faults.job import Job
from rmqlab.experiments.faults.kinds import FaultKind
from rmqlab.interrupts import wait_until
from rmqlab.measure._account import Account

BEGIN_TIMEOUT_S = 20
RECOVER_TIMEOUT_S = 30  # from when the broker is back until all is confirmed
COOLDOWN_S = 0.3  # under load, after the recovery
QUIET_S = 3  # what is not delivered so long after the last confirm does not come any more
END_TIMEOUT_S = 5
NS_PER_S = 1_000_000_000

# Not more often: an account of all messages takes time from the client.
_until = partial(wait_until, every_s=0.05)


def run_trial(
    broker: OwnBroker, client: ModuleType, kind: FaultKind, queue_type: str, *, window: int = 1
) -> dict[str, Any]:
    """Let a client publish and consume, break the broker, and return the outcome of the messages."""
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(Link(broker))
        url = link.url if kind.by_link else broker.url
        job = Job(url, f"rmqlab-faults-{secrets.token_hex(4)}", queue_type, window)
        # Two clients that declare a new quorum queue at once may get INTERNAL_ERROR from RabbitMQ 4.0.
        job.topology.declare(broker)
        threads = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="faults"))
        stack.callback(job.stop)
        roles = {name: threads.submit(getattr(client, name), job) for name in ("publish", "consume")}
        _until(lambda: job.ledger.received > 0 or _has_failed(roles), BEGIN_TIMEOUT_S)
        time.sleep(kind.warmup_s)
        outage = kind.happen(broker, link, job.queue)
        hung = not _bring_to_end(broker, job, roles, outage.up_ns)
        job.stop()
        if wait(roles.values(), END_TIMEOUT_S).not_done:
            hung = True
            broker.close_connections()  # a client that waits for an answer learns that there is none
    with contextlib.suppress(BrokerError):  # the fault may have taken it
        broker.delete_queue(job.queue)
    errors = [
        f"{role}: {type(error).__name__}: {error}".partition("\n")[0]
        for role, future in roles.items()
        if (error := future.exception())
    ]
    outcome = _count(job.ledger.account(), outage, takes_queue=kind.takes_queue)
    return {**outcome, "republished": job.republished, "hung": hung, "error": "; ".join(errors)}


def _has_failed(roles: Mapping[str, Future[None]]) -> bool:
    """Return True if the publisher or the consumer has ended before its time."""
    return any(role.done() for role in roles.values())


def _bring_to_end(broker: OwnBroker, job: Job, roles: Mapping[str, Future[None]], up_ns: int) -> bool:
    """Return True if the client is at work again, and all is confirmed, within the time."""

    def is_at_work() -> bool:
        messages = job.ledger.account().messages
        since = messages[messages["published_ns"] > up_ns]
        return bool(((since["confirmed_ns"] > 0) & (since["delivered_ns"] > 0)).any())

    def is_settled() -> bool:
        messages = job.ledger.account().messages
        return bool((messages["settled_ns"][messages["confirmed_ns"] > 0] > 0).all())

    deadline_s = time.monotonic() + RECOVER_TIMEOUT_S
    _until(lambda: is_at_work() or _has_failed(roles), RECOVER_TIMEOUT_S)
    recovered = is_at_work() and not _has_failed(roles)
    time.sleep(COOLDOWN_S)
    job.ending.set()
    confirmed = _until(roles["publish"].done, deadline_s - time.monotonic())
    # A duplicate is behind the messages that it repeats: see whether there is one.
    with contextlib.suppress(BrokerError):
        broker.wait_for_queue(job.queue, ready=0, timeout_s=QUIET_S)
    _until(is_settled, QUIET_S)
    return recovered and confirmed


def _count(account: Account, outage: Outage, *, takes_queue: bool) -> dict[str, Any]:
    """Return the outcome of the messages, and how long the recovery took."""
    totals, gone = account.totals(), _count_gone(account) if takes_queue else 0
    return {
        "published": totals.published,
        "confirmed": totals.confirmed,
        "lost_confirmed": totals.lost_confirmed - gone,
        "gone_with_queue": gone,
        "duplicated": totals.duplicated,
        "redelivered": totals.redelivered,
        "unconfirmed": totals.published - totals.confirmed,
        "outage_s": (outage.up_ns - outage.down_ns) / NS_PER_S,
        "recover_publish_s": recover_s(account.messages["confirmed_ns"], outage),
        "recover_consume_s": recover_s(account.deliveries["delivered_ns"], outage),
    }


def _count_gone(account: Account) -> int:
    """Count what was in the queue that was deleted, or came before there was a new one.

    One publisher, one queue: they are the first stretch of messages that are missing.
    """
    messages = account.messages
    missing = np.flatnonzero((messages["confirmed_ns"] > 0) & (messages["deliveries"] == 0))
    return int((np.diff(missing, prepend=missing[:1] - 1) == 1).cumprod().sum())


def recover_s(times_ns: pd.Series, outage: Outage) -> float:
    """Return the seconds until something happened again; if the outage has no length, the longest gap."""
    later_ns = np.sort(times_ns[times_ns >= outage.up_ns])
    gaps_ns = np.diff(later_ns, prepend=outage.up_ns)
    if not len(gaps_ns):
        return math.nan
    return float(gaps_ns.max() if outage.up_ns == outage.down_ns else gaps_ns[0]) / NS_PER_S
