"""Run suites: calibrate each variant, let them take turns, and check every run."""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from rmqlab.amqp import connect
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError
from rmqlab.experiments.clients import _rmqlab
from rmqlab.experiments.clients._model import BenchError, Suite, Variant, Workload
from rmqlab.experiments.clients._process import run_in_processes

logger = logging.getLogger("rmqlab.experiments.clients")

# Should this process be killed, the broker deletes the queue by itself, an hour later.
QUEUE = {"x-queue-type": "classic", "x-expires": 3_600_000}
FIRST_COUNT = 100
GROWTH = 20  # a first, short run overrates or underrates: do not trust it for more
GOOD_PART = 1 / GROWTH  # a run of so much of the wanted time tells the rate
MAX_COUNT = 200_000
MAX_BODIES_BYTES = 128 * 2**20
SETTLE_S = 10
LOOK_EVERY_S = 0.02

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one variant.

    Attributes:
        suite: name of the suite.
        variant: who ran.
        round: number of the round, from 1.
        count: how many messages.
        seconds: how long they took.
    """

    suite: str
    variant: Variant
    round: int
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a suite.

    Attributes:
        suite: the suite.
        results: its runs.
        failures: what went wrong, one sentence each; whoever failed did not run again.
    """

    suite: Suite
    results: tuple[Result, ...]
    failures: tuple[str, ...]


def run_suite(
    broker: Broker,
    suite: Suite,
    *,
    repeats: int = 5,
    seconds: float = 1.0,
    seed: int = 1,
    on_run: Tell = lambda _: None,
    on_failure: Tell = logger.warning,
) -> Outcome:
    """Run every variant of a suite, once to warm up and then once a round.

    Args:
        broker: a running broker.
        suite: who runs.
        repeats: how many rounds; a suite may take several for each.
        seconds: how long a run is to take; the number of messages is chosen for it.
        seed: of the order in each round.
        on_run: is called after each variant's warm-up, and after each run, with its name.
        on_failure: is told what went wrong, in a sentence.

    Returns:
        The runs, and who failed.

    Raises:
        BrokerError: the broker is gone.
        ValueError: repeats or seconds are out of range.
    """
    if repeats < 1 or not seconds > 0:
        raise ValueError(f"repeats is {repeats} and seconds is {seconds:g}; both must be above 0")
    here = installed(suite)
    results: list[Result] = []
    counts: dict[int, int] = {}
    failures: dict[int, str] = {}
    turns = list(range(len(here)))
    shuffle = random.Random(seed).shuffle  # noqa: S311 the order of turns is no secret
    with bench_queue(broker) as queue:
        for number in range(1 + repeats * suite.rounds):
            shuffle(turns)
            for turn in turns:
                variant = here[turn]
                if turn in failures:
                    continue
                try:
                    if number == 0:
                        counts[turn] = _calibrate(broker, variant, queue, seconds)
                    else:
                        taken_s = run_once(broker, variant, queue, counts[turn])
                        results.append(Result(suite.name, variant, number, counts[turn], taken_s))
                except BenchError as error:
                    failures[turn] = str(error)
                    on_failure(str(error))
                on_run(str(variant))
    return Outcome(suite, tuple(results), tuple(failures.values()))


def installed(suite: Suite) -> tuple[Variant, ...]:
    """Give the variants whose library is installed."""
    return tuple(each for each in suite.variants if each.library.version is not None)


def missing(suites: Iterable[Suite]) -> str:
    """Say which libraries are not installed, and what installs them; empty if all are."""
    libraries = {each.library for suite in suites for each in suite.variants}
    names = sorted(library.name for library in libraries if library.version is None)
    if not names:
        return ""
    return f"Left out, as not installed: {', '.join(names)}. Next: pip install 'rmqlab[bench]'"


def run_once(broker: Broker, variant: Variant, queue: str, count: int) -> float:
    """Run a variant with so many messages, and look whether all arrived.

    Returns:
        How many seconds it took.

    Raises:
        BenchError: it failed, or messages were lost; says who and how many.
    """
    order = Workload(broker.url, queue, count, variant.body_bytes)
    with _channel(broker) as channel:
        channel.queue_purge(queue)
    if variant.role == "consume":
        _rmqlab.fill(broker.url, queue, count, variant.body_bytes)
    seconds = run_in_processes(variant, order)
    expected = count if variant.role == "publish" else 0
    found = settled_count(broker, queue, expected)
    if found != expected:
        raise BenchError(
            f"{variant} left {found} messages in the queue, not {expected}, after a run with {count}. "
            "Next: report this, as its rate cannot be believed"
        )
    return seconds


def next_count(count: int, seconds: float, wanted_s: float, body_bytes: int) -> int:
    """Choose how many messages the next run has, from how long a run took.

    Args:
        count: how many messages it had.
        seconds: how long it took.
        wanted_s: how long a run is to take.
        body_bytes: size of a message's body.

    Returns:
        A number with two digits that count, not above what a broker can hold with ease.
    """
    count = round(min(count * wanted_s / max(seconds, 1e-6), count * GROWTH))
    count = min(max(count, 1), MAX_COUNT, max(MAX_BODIES_BYTES // body_bytes, 1))
    unit: int = 10 ** max(len(str(count)) - 2, 0)
    return count // unit * unit


@contextlib.contextmanager
def bench_queue(broker: Broker) -> Iterator[str]:
    """Declare a durable classic queue with a name of its own, and delete it at the end."""
    queue = f"rmqlab-bench-{secrets.token_hex(4)}"
    with _channel(broker) as channel:
        channel.queue_declare(queue, durable=True, arguments=QUEUE)
    try:
        yield queue
    finally:
        # A broker that is gone has taken the queue with it, or keeps it for its owner to see.
        with contextlib.suppress(BrokerError), _channel(broker) as channel:
            channel.queue_delete(queue)


def _calibrate(broker: Broker, variant: Variant, queue: str, wanted_s: float) -> int:
    """Warm up, and find how many messages a run takes."""
    count = FIRST_COUNT
    while True:
        seconds = run_once(broker, variant, queue, count)
        following = next_count(count, seconds, wanted_s, variant.body_bytes)
        if seconds >= wanted_s * GOOD_PART or following <= count:
            return max(following, variant.processes)
        count = following


@contextlib.contextmanager
def _channel(broker: Broker) -> Iterator[BlockingChannel]:
    """Open a connection for a moment: between two runs, none is open that would have to live on."""
    connection = connect(broker, name="rmqlab bench")
    try:
        yield connection.channel()
    except AMQPError as error:
        raise BrokerError(
            f"The broker refused, or was lost, between two runs ({error!r}). "
            "Next: see that it is well, and run the bench again"
        ) from error
    finally:
        with contextlib.suppress(AMQPError):
            connection.close()


def settled_count(broker: Broker, queue: str, expected: int) -> int:
    """Wait until the queue has no consumer and so many messages; give how many it has at last."""
    deadline_s = time.monotonic() + SETTLE_S
    with _channel(broker) as channel:
        while True:
            found = channel.queue_declare(queue, passive=True).method
            settled = found.consumer_count == 0 and found.message_count == expected
            if settled or time.monotonic() > deadline_s:
                return int(found.message_count)
            time.sleep(LOOK_EVERY_S)
