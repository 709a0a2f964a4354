"""Compare client libraries: they take turns, each in a process apart, and every run is checked.

What makes it fair: all variants talk to one broker, over one durable classic queue, which is empty
before each run, with persistent messages of one size, one connection and one channel. They have the
same window, the same prefetch, and the same number of messages to an acknowledgement. Connecting,
closing, and filling the queue for consumers are not timed. A run counts only if the queue then holds
every message, or none after consuming. Each variant runs once a round, in a new random order: rates
of two moments cannot be compared, and ratios within a round can.
"""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar

import pandas as pd

from rmqlab.amqp import Queue, Topology, purge
from rmqlab.broker import Broker
from rmqlab.errors import RmqlabError
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.clients.figures import plot_clients, summarize_clients
from rmqlab.experiments.clients.job import ClientJob
from rmqlab.experiments.clients.processes import process_pool
from rmqlab.experiments.clients.rmqlab import publish_all
from rmqlab.experiments.clients.variants import BASELINES, ClientError, Variant, choose_variants
from rmqlab.measure import provenance
from rmqlab.measure._bar import bar_of

FIRST_COUNT = 100
MIN_COUNT = 10  # some for each process
GROWTH = 20  # a short run tells little of one that is longer than so many times
CALIBRATIONS = 3  # of a first count, which grows twice before it is exact
MAX_BODIES_BYTES = 128 * 2**20  # what a broker holds with ease
RUN_TIMEOUT_S = 60
SETTLE_S = 10
# Of the quick size.
A_FEW = (
    *("pika SelectConnection, window", "aio-pika, window", "rmqlab publish, window"),
    *("rmqlab publish_all, window", "aio-pika", "rmqlab"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsConfig(Config):
    """What is compared, and how long.

    Attributes:
        variants: names of the variants that take part; all if empty. The baselines, which are
            plain pika's BlockingConnection, always do.
        rounds: how often each variant runs, after a warm-up.
        seconds: how long a run is to take; the number of messages is chosen for it.
        body_bytes: size of a message's body, in bytes.
        processes: how many processes share the messages of a run.
    """

    FULL: ClassVar[Mapping[str, Any]] = {"variants": (), "rounds": 6, "seconds": 1.0}

    variants: tuple[str, ...] = A_FEW
    rounds: int = 5
    seconds: float = 0.2
    body_bytes: int = 256
    processes: int = 1


def compare_clients(
    broker: Broker, config: ClientsConfig | None = None, *, executor: Executor | None = None
) -> Result:
    """Let client libraries publish and consume by turns, and compare each with plain pika.

    Args:
        broker: a running broker.
        config: what is compared, and how long; `ClientsConfig.quick()` if None.
        executor: what runs the clients, with room for the processes of a run. It stays open. Dask's
            `distributed.Client(…).get_executor()` lets several machines take part. None makes a pool
            of processes.

    Returns:
        One row a run: role, variant, library, version, round (from 1), count (messages), seconds
        (of the slowest process), rate_msg_s, ratio (of this rate to that of the role's baseline in
        the same round), body_bytes and processes. Its further frame `ratios` has one row a
        variant, the fastest of each role first: role, variant, library, runs, and the median of its
        ratio with the lowest and the highest.

    Raises:
        ClientError: a variant failed, took too long, or lost messages; or its library is not installed.
        BrokerError: the broker is gone.
        ValueError: there is no such variant.
    """
    config = config or ClientsConfig.quick()
    variants = choose_variants(config.variants)
    shuffled = random.Random(1).sample  # noqa: S311 the order is no secret
    turns = [
        (number, variant)
        for number in range(1 + config.rounds)
        for variant in shuffled(variants, len(variants))
    ]
    jobs: dict[Variant, ClientJob] = {}
    rows = []
    running = contextlib.nullcontext(executor) if executor else process_pool(config.processes)
    with clients_queue(broker) as queue, running as pool:
        first = ClientJob(broker.url, queue, FIRST_COUNT * config.processes, b"." * config.body_bytes)
        for number, variant in bar_of(turns, "run", progress=True):
            run = partial(run_once, broker, variant, processes=config.processes, pool=pool)
            if number == 0:
                jobs[variant] = calibrate(run, first, config.seconds)
                continue
            count, seconds = jobs[variant].count, run(jobs[variant])
            rows.append(
                {
                    "role": variant.role,
                    "variant": variant.name,
                    "library": variant.library,
                    "version": version("amqp" if variant.library == "py-amqp" else variant.library),
                    "round": number,
                    "count": count,
                    "seconds": seconds,
                    "rate_msg_s": count / seconds,
                }
            )
    runs = with_ratios(pd.DataFrame(rows))
    runs = runs.assign(body_bytes=config.body_bytes, processes=config.processes)
    return Result(runs, plot_clients, provenance(broker), details={"ratios": summarize_clients(runs)})


def run_once(broker: Broker, variant: Variant, job: ClientJob, *, processes: int, pool: Executor) -> float:
    """Let processes share a job, and return the seconds of the slowest of them."""
    purge(broker, job.queue)
    if variant.role == "consume":
        publish_all(job)  # every message is confirmed, and so in the queue
    share, rest = divmod(job.count, processes)
    parts = [replace(job, count=share + (number < rest)) for number in range(processes)]
    try:
        running = [pool.submit(variant.run, part) for part in parts]
        seconds = max(each.result() for each in as_completed(running, RUN_TIMEOUT_S))
        expected = job.count if variant.role == "publish" else 0
        broker.wait_for_queue(job.queue, ready=expected, consumers=0, timeout_s=SETTLE_S)
    except (RmqlabError, BrokenExecutor, TimeoutError) as error:
        problem = str(getattr(error, "problem", error)).rstrip(".")
        raise ClientError(
            f"{variant.name} ({variant.role}) failed with {job.count} messages: {problem}. "
            "Next: see that the broker is well, or leave this variant out of the configuration"
        ) from error
    return seconds


def calibrate(run: Callable[[ClientJob], float], job: ClientJob, wanted_s: float) -> ClientJob:
    """Warm up, and return the job with as many messages as make a run of `wanted_s`."""
    most = MAX_BODIES_BYTES // len(job.body)
    for _ in range(CALIBRATIONS):
        count = round(job.count * min(wanted_s / run(job), GROWTH))
        job = replace(job, count=max(min(count, most), MIN_COUNT))
    return job


def with_ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the ratio of each rate to the baseline's of the same role and round."""
    rates = runs["rate_msg_s"]
    baseline = rates.where(runs["variant"].isin(BASELINES.values()))
    return runs.assign(ratio=rates / baseline.groupby([runs["role"], runs["round"]]).transform("max"))


@contextlib.contextmanager
def clients_queue(broker: Broker) -> Iterator[str]:
    """Declare a durable classic queue with a name of its own, and delete it at the end."""
    name = f"rmqlab-clients-{secrets.token_hex(4)}"
    # If this process is killed, the broker itself deletes the queue an hour later.
    topology = Topology(queues=(Queue(name=name, type="classic", arguments={"x-expires": 3_600_000}),))
    topology.declare(broker)
    try:
        yield name
    finally:
        topology.delete(broker)
