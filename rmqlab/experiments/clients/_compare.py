"""Compare client libraries: they take turns, each in a process apart, and every run is checked.

What makes it fair: all variants talk to one broker, over one durable classic queue, which is empty
before each run, with persistent messages of one size, one connection and one channel. They have the
same window, the same prefetch, and the same number of messages to an acknowledgement. Connecting,
closing, and filling the queue for consumers are not timed. A run counts only if the queue then holds
every message, or none after consuming. Each variant runs once a round, in an order that is shuffled
anew: rates of two moments cannot be compared, and ratios within a round can.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pika.exceptions import AMQPError
from tqdm import tqdm

from rmqlab.amqp import connect, purge
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError, RmqlabError
from rmqlab.experiments._result import Result
from rmqlab.experiments.clients._model import ClientError, Stopwatch, Variant, Workload
from rmqlab.experiments.clients._rmqlab import publish_all
from rmqlab.experiments.clients._variants import choose_variants
from rmqlab.measure import process_pool, provenance, run_jobs

if TYPE_CHECKING:
    import pandas as pd

# Should this process be killed, the broker deletes the queue by itself, an hour later.
QUEUE = {"x-queue-type": "classic", "x-expires": 3_600_000}
FIRST_COUNT = 100
GROWTH = 20  # a short run overrates or underrates: do not trust it for more
CALIBRATIONS = 4
MAX_COUNT = 200_000
MAX_BODIES_BYTES = 128 * 2**20
PARAMETERS = ("body_bytes", "processes", "window", "prefetch", "ack_every")
RUN_LIMIT_S = 60
SETTLE_S = 10


@dataclass(frozen=True, slots=True)
class ClientsConfig:
    """What is compared, and how long.

    Attributes:
        variants: names of the variants that take part; all if empty. The baselines, which are
            plain pika's BlockingConnection, always do.
        rounds: how often each variant runs, after a warm-up.
        seconds: how long a run is to take; the number of messages is chosen for it.
        body_bytes: size of a message's body, in bytes.
        processes: how many processes share the messages of a run.
        window: how many messages a publisher with a window has unconfirmed.
        prefetch: how many messages the broker hands to a consumer ahead of its acknowledgements.
        ack_every: how many messages a consumer acknowledges at once.
    """

    variants: tuple[str, ...] = ()
    rounds: int = 6
    seconds: float = 1.0
    body_bytes: int = 256
    processes: int = 1
    window: int = 500
    prefetch: int = 1000
    ack_every: int = 100

    def __post_init__(self) -> None:
        for name in ("rounds", "seconds", "body_bytes", "processes", "window", "ack_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.ack_every > self.prefetch:
            raise ValueError(f"ack_every is {self.ack_every}; it goes up to prefetch, {self.prefetch}")

    @classmethod
    def quick(cls) -> ClientsConfig:
        """Return a first look: a few variants, for about twenty seconds in all."""
        windows = ("pika SelectConnection", "aio-pika", "rmqlab publish", "rmqlab publish_all")
        names = (*(f"{each}, window" for each in windows), "aio-pika", "rmqlab")
        return cls(variants=names, rounds=5, seconds=0.2)

    @classmethod
    def full(cls) -> ClientsConfig:
        """Return the size of the reference run: all variants, for about five minutes."""
        return cls()


def compare_clients(
    broker: Broker, config: ClientsConfig | None = None, *, executor: Executor | None = None
) -> Result:
    """Let client libraries publish and consume by turns, and compare each with plain pika.

    Args:
        broker: a running broker.
        config: what is compared, and how long; `ClientsConfig.quick()` if None.
        executor: what runs the clients, with room for the processes of a run, as of `run_jobs`.
            None makes a pool of processes.

    Returns:
        One row a run: role, variant, library, version, round (from 1), count (messages), seconds
        (of the slowest process), rate_msg_s, ratio (of this rate to that of the role's baseline in
        the same round), body_bytes, processes, window, prefetch and ack_every. The provenance also
        has source, date, and not_installed: the libraries that were left out.

    Raises:
        ClientError: a variant failed, took too long, or lost messages.
        BrokerError: the broker is gone.
        ValueError: there is no such variant.
    """
    import pandas as pd

    from rmqlab.experiments.clients._figures import plot_clients

    config = config or ClientsConfig.quick()
    variants, missing = choose_variants(config.variants)
    order, shuffle = list(variants), random.Random(1).shuffle  # noqa: S311 the order is no secret
    jobs: dict[Variant, Job] = {}
    rows = []
    with contextlib.ExitStack() as stack:
        running = executor or stack.enter_context(process_pool(config.processes))
        queue = stack.enter_context(clients_queue(broker))
        sizes = (config.window, config.prefetch, config.ack_every)
        first = Workload(broker.url, queue, FIRST_COUNT * config.processes, config.body_bytes, *sizes)
        total = len(variants) * (1 + config.rounds)
        bar = stack.enter_context(tqdm(total=total, unit="run", file=sys.stdout))
        for number in range(1 + config.rounds):
            shuffle(order)
            for variant in order:
                if number == 0:
                    jobs[variant] = _calibrate(broker, Job(variant, first), config, running)
                else:
                    seconds = run_once(broker, jobs[variant], config.processes, running)
                    rows.append(_row(jobs[variant], number, seconds))
                bar.update()
    parameters = {name: getattr(config, name) for name in PARAMETERS}
    return Result(
        rows=_with_ratio(pd.DataFrame(rows)).assign(**parameters),
        draw=plot_clients,
        provenance={
            **provenance(broker),
            "source": broker.source,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "not_installed": ", ".join(missing),
        },
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does in a run; called there, it returns the seconds that it took."""

    variant: Variant
    workload: Workload

    def __call__(self) -> float:
        """Do it; what goes wrong is a ClientError of one line, without the password."""
        stopwatch = Stopwatch()
        try:
            self.variant.work(self.workload, stopwatch)
        except Exception as error:  # of any library: not all of them can be pickled
            line = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
            password = urlsplit(self.workload.url).password
            raise ClientError(line.replace(f":{password}@", ":***@")) from None
        return stopwatch.seconds

    def with_count(self, count: int) -> Job:
        """Return the job for so many messages."""
        return replace(self, workload=replace(self.workload, count=count))


def run_once(broker: Broker, job: Job, processes: int, executor: Executor) -> float:
    """Run a job, its messages shared by processes, and return the seconds of the slowest of them.

    Raises:
        ClientError: it failed, took too long, or lost messages; says who and how many.
    """
    variant, queue, count = job.variant, job.workload.queue, job.workload.count
    purge(broker, queue)
    if variant.role == "consume":
        publish_all(job.workload, Stopwatch())  # every message is confirmed, and so in the queue
    share, rest = divmod(count, processes)
    parts = [job.with_count(share + (number < rest)) for number in range(processes)]
    try:
        seconds = max(run_jobs(parts, timeout_s=RUN_LIMIT_S, executor=executor))
        expected = count if variant.role == "publish" else 0
        broker.wait_for_queue(queue, ready=expected, consumers=0, timeout_s=SETTLE_S)
    except RmqlabError as error:
        reason = str(error).partition(". Next: ")[0]
        raise ClientError(
            f"{variant.name} ({variant.role}) failed with {count} messages: {reason}. "
            "Next: see that the broker is well, or leave this variant out of the configuration"
        ) from error
    return seconds


def next_count(count: int, seconds: float, wanted_s: float, body_bytes: int) -> int:
    """Return how many messages make a run as long as is wanted.

    The last run had `count` messages and took `seconds`. The number has two digits that count, and is
    not above what a broker can hold with ease.
    """
    count = round(min(count * wanted_s / max(seconds, 1e-6), count * GROWTH))
    count = min(max(count, 1), MAX_COUNT, max(MAX_BODIES_BYTES // body_bytes, 1))
    unit: int = 10 ** max(len(str(count)) - 2, 0)
    return count // unit * unit


@contextlib.contextmanager
def clients_queue(broker: Broker) -> Iterator[str]:
    """Declare a durable classic queue with a name of its own, and delete it at the end."""
    queue = f"rmqlab-clients-{secrets.token_hex(4)}"
    with contextlib.closing(connect(broker)) as connection:
        connection.channel().queue_declare(queue, durable=True, arguments=QUEUE)
    try:
        yield queue
    finally:
        # A broker that is gone has taken the queue with it, or keeps it for its owner to see.
        with contextlib.suppress(BrokerError, AMQPError), contextlib.closing(connect(broker)) as connection:
            connection.channel().queue_delete(queue)


def _calibrate(broker: Broker, job: Job, config: ClientsConfig, executor: Executor) -> Job:
    """Warm up, and return the job with as many messages as a run takes."""
    for attempt in range(CALIBRATIONS):
        seconds = run_once(broker, job, config.processes, executor)
        count = next_count(job.workload.count, seconds, config.seconds, config.body_bytes)
        job = job.with_count(max(count, config.processes))
        if attempt and seconds >= config.seconds / 2:  # the first run is slow, and tells nothing
            break
    return job


def _row(job: Job, number: int, seconds: float) -> dict[str, object]:
    variant, count = job.variant, job.workload.count
    return {
        "role": variant.role,
        "variant": variant.name,
        "library": variant.library.name,
        "version": variant.library.version,
        "round": number,
        "count": count,
        "seconds": seconds,
        "rate_msg_s": count / seconds,
        "is_baseline": variant.is_baseline,
    }


def _with_ratio(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["role", "round"]
    baseline = frame[frame["is_baseline"]].set_index(keys)["rate_msg_s"].rename("baseline_msg_s")
    ratio = frame["rate_msg_s"] / frame.join(baseline, on=keys)["baseline_msg_s"]
    return frame.assign(ratio=ratio).drop(columns="is_baseline")
