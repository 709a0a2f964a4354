"""The suites: who runs against whom, and what makes that fair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rmqlab.experiments.clients import _aio_pika, _amqpstorm, _pika, _py_amqp, _rmqlab
from rmqlab.experiments.clients._model import (
    AIO_PIKA,
    AMQPSTORM,
    PIKA,
    PY_AMQP,
    RMQLAB,
    BenchError,
    Library,
    Suite,
    Variant,
)

FAIR = (
    "All libraries talk to the same broker, over the same durable classic queue, which is empty before "
    "each run. Messages are persistent, and have 256 bytes where nothing else is said.",
    "Each library is used in the fastest way that its documentation gives, with one connection and one "
    "channel, in a fresh process.",
    "Connecting, closing, and filling the queue for consumers are not timed. A publisher's clock runs from "
    "the first message until the last is confirmed; without confirms, until the broker has answered a "
    "request that follows the last message. A consumer's runs from its subscription until it has "
    "acknowledged the last message.",
    "A run counts only if the queue then holds every message, or none after consuming.",
    "Variants take turns: after a warm-up each runs once a round, in an order that is shuffled anew. "
    "Rates of two machines, or of two hours, cannot be compared; ratios within a round can, and those here "
    "are the medians of them.",
)

KIB = 1024
WINDOW = 500
SIZES = (16, 256, 1024, 4096, 16384, 65536)
PROCESSES = (1, 2, 4)
# Prefetch, and how many messages one acknowledgement covers.
SETTINGS = ((1, "1"), (10, "1"), (100, "1"), (1000, "1"), (1000, "10"), (1000, "100"), (1000, "auto"))
ALL_LIBRARIES_AT = (1000, "100")
LEDGER_ROUNDS = 2  # a few percent are harder to see than a factor


def find_suites(names: Sequence[str]) -> tuple[Suite, ...]:
    """Give the suites of these names, in their order; all of them if there are no names.

    Raises:
        BenchError: there is no such suite.
    """
    suites = {suite.name: suite for suite in (_publish(), _consume(), _size(), _processes(), _with_ledger())}
    for name in names:
        if name not in suites:
            raise BenchError(f"There is no suite {name!r}. Next: name some of {', '.join(suites)}, or none")
    return tuple(suites[name] for name in names or suites)


def _publish() -> Suite:
    window = f"window {WINDOW}"
    publishers = (
        _publisher("pika BlockingConnection", PIKA, _pika.publish_confirm_each, "each"),
        _publisher("pika BlockingConnection", PIKA, _pika.publish_unconfirmed, "none"),
        _publisher("pika SelectConnection", PIKA, _pika.publish_window, window, window=WINDOW),
        _publisher("aio-pika", AIO_PIKA, _aio_pika.publish_window, window, window=WINDOW),
        _publisher("py-amqp", PY_AMQP, _py_amqp.publish_confirm_each, "each"),
        _publisher("py-amqp", PY_AMQP, _py_amqp.publish_window, window, window=WINDOW),
        _publisher("amqpstorm", AMQPSTORM, _amqpstorm.publish_confirm_each, "each"),
        _publisher("rmqlab", RMQLAB, _rmqlab.publish, "each", confirms="each"),
        _publisher("rmqlab", RMQLAB, _rmqlab.publish, "batch 100", confirms="batch", size=100),
        _publisher("rmqlab", RMQLAB, _rmqlab.publish, window, confirms="window", size=WINDOW),
        replace(
            _publisher("rmqlab", RMQLAB, _rmqlab.publish_one_by_one, window, confirms="window", size=WINDOW),
            name=f"rmqlab, {window}, one call each",
        ),
        _publisher("rmqlab", RMQLAB, _rmqlab.publish, "none", confirms="none"),
    )
    return Suite(
        name="publish",
        title="Publish strategies and libraries",
        method="One publisher. It waits for the confirm of each message, keeps a window of messages "
        "unconfirmed, waits after each batch, or asks for no confirms. rmqlab is given all messages in one "
        "call, or one by one as the others are.",
        focus=f"rmqlab, {window}",
        variants=_measured_by(publishers[0].name, publishers),
    )


def _consume() -> Suite:
    every_setting = (
        ("pika BlockingConnection", PIKA, _pika.consume_blocking),
        ("rmqlab", RMQLAB, _rmqlab.consume),
    )
    at_one = (
        ("pika SelectConnection", PIKA, _pika.consume_select),
        ("aio-pika", AIO_PIKA, _aio_pika.consume),
        ("py-amqp", PY_AMQP, _py_amqp.consume),
        ("amqpstorm", AMQPSTORM, _amqpstorm.consume),
    )
    consumers = tuple(
        _consumer(name, library, work, prefetch, ack)
        for prefetch, ack in SETTINGS
        for name, library, work in every_setting + (at_one if (prefetch, ack) == ALL_LIBRARIES_AT else ())
    )
    return Suite(
        name="consume",
        title="Acknowledgements, prefetch and libraries",
        method="One consumer, whose queue is full before it starts. It acknowledges each message, every 10 "
        "or 100 of them at once, or leaves that to the broker (auto).",
        focus="rmqlab",
        variants=_measured_by("pika BlockingConnection", consumers),
    )


def _size() -> Suite:
    return Suite(
        name="size",
        title="Message size",
        method=f"Confirmed publishing of bodies from {_bytes(SIZES[0])} to {_bytes(SIZES[-1])}.",
        focus=_few()[2].name,
        variants=_measured_by(
            _few()[0].name,
            tuple(replace(each, group=_bytes(size), body_bytes=size) for size in SIZES for each in _few()),
        ),
    )


def _processes() -> Suite:
    return Suite(
        name="processes",
        title="Number of processes",
        method="Confirmed publishing by several processes at once, to the same queue. They share the "
        "messages and begin together; the clock stops when the last one is done.",
        focus=_few()[2].name,
        variants=_measured_by(
            _few()[0].name,
            tuple(
                replace(each, group=f"{count} process{'es' if count > 1 else ''}", processes=count)
                for count in PROCESSES
                for each in _few()
            ),
        ),
    )


def _with_ledger() -> Suite:
    pairs = (
        replace(_few()[2], group="publish", name="without ledger"),
        replace(_few()[2], group="publish", name="with ledger", work=_rmqlab.publish_with_ledger),
        replace(_consumer("without ledger", RMQLAB, _rmqlab.consume, *ALL_LIBRARIES_AT), group="consume"),
        replace(
            _consumer("with ledger", RMQLAB, _rmqlab.consume_with_ledger, *ALL_LIBRARIES_AT), group="consume"
        ),
    )
    return Suite(
        name="ledger",
        title="What the ledger costs",
        method=f"Publishing with a window of {WINDOW}, and consuming with a prefetch of "
        f"{ALL_LIBRARIES_AT[0]} and an acknowledgement every {ALL_LIBRARIES_AT[1]}; with number and "
        "time in each message and a ledger that notes publish, confirm, delivery and acknowledgement of "
        "each, and without.",
        focus="with ledger",
        rounds=LEDGER_ROUNDS,
        variants=_measured_by("without ledger", pairs),
    )


def _few() -> tuple[Variant, ...]:
    """Give the publishers that stand for all where the load changes."""
    publishers = {each.name: each for each in _publish().variants}
    names = (
        "pika BlockingConnection, confirm each",
        f"pika SelectConnection, window {WINDOW}",
        f"rmqlab, window {WINDOW}",
    )
    return tuple(publishers[name] for name in names)


def _publisher(
    name: str, library: Library, work: Callable[..., None], strategy: str, **arguments: int | str
) -> Variant:
    words = {"each": "confirm each", "none": "no confirms", "batch 100": "batches of 100"}
    return Variant(
        name=f"{name}, {words.get(strategy, strategy)}",
        library=library,
        role="publish",
        work=work,
        arguments=arguments,
        settings={"confirms": strategy},
    )


def _consumer(name: str, library: Library, work: Callable[..., None], prefetch: int, ack: str) -> Variant:
    acks = {"1": "ack each", "auto": "auto ack"}.get(ack, f"ack every {ack}")
    settings: dict[str, int | str] = {"prefetch": prefetch, "ack": ack}
    return Variant(
        name=name,
        library=library,
        role="consume",
        work=work,
        arguments=settings,
        settings=settings,
        group=f"prefetch {prefetch}, {acks}",
    )


def _measured_by(baseline: str, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    return tuple(replace(each, baseline=each.name == baseline) for each in variants)


def _bytes(size: int) -> str:
    return f"{size} B" if size < KIB else f"{size // KIB} KiB"
