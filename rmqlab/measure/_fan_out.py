"""Publish and consume from several processes, for loads that outgrow one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from rmqlab.amqp import Acks, Confirms, Consumer, Publisher
from rmqlab.broker import Broker
from rmqlab.measure._jobs import run_jobs
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import Load, publish_load


@dataclass(frozen=True, slots=True)
class PublishJob:
    """What one process publishes."""

    url: str
    load: Load
    exchange: str
    routing_key: str
    confirms: Confirms | None
    mandatory: bool
    timeout_s: float
    name: str

    def __call__(self) -> Ledger:
        """Publish, and return what happened."""
        ledger = Ledger()
        recorder = ledger.publisher(self.name, first=self.load.first, identify=self.load.identify)
        with Publisher(
            self.url,
            exchange=self.exchange,
            routing_key=self.routing_key,
            confirms=self.confirms,
            mandatory=self.mandatory,
            observer=recorder,
            timeout_s=self.timeout_s,
            name=self.name,
        ) as publisher:
            publish_load(publisher, self.load)
        return ledger


@dataclass(frozen=True, slots=True)
class ConsumeJob:
    """What one process consumes."""

    url: str
    load: Load
    queue: str
    on_message: Callable[..., object] | None
    ack: Acks | None
    prefetch_count: int
    idle_s: float
    timeout_s: float
    name: str

    def __call__(self) -> Ledger:
        """Consume, and return what happened."""
        ledger = Ledger()
        recorder = ledger.consumer(self.name, identify=self.load.identify)
        with Consumer(
            self.url,
            self.queue,
            self.on_message,
            ack=self.ack,
            prefetch_count=self.prefetch_count,
            observer=recorder,
            name=self.name,
        ) as consumer:
            consumer.run(idle_s=self.idle_s, time_s=self.timeout_s)
        return ledger


def fan_out(
    broker: Broker | str,
    load: Load,
    *,
    queue: str = "",
    exchange: str = "",
    routing_key: str = "",
    publishers: int = 2,
    consumers: int = 0,
    confirms: Confirms | None = None,
    mandatory: bool = False,
    on_message: Callable[..., object] | None = None,
    ack: Acks | None = None,
    prefetch_count: int = 100,
    idle_s: float = 2.0,
    timeout_s: float = 120,
    executor: Executor | None = None,
) -> Ledger:
    """Publish a load from several processes, and consume it in several.

    The processes' ledgers are merged; their times are of one clock if they run on one
    machine. Over several machines the counts are right, and latencies are not.

    Args:
        broker: a running broker, or an AMQP URL. The processes are given its URL.
        load: the messages; each process publishes a range of its numbers.
        queue: what is consumed; and published to, unless an exchange or routing key is given.
        exchange: exchange to publish to.
        routing_key: routing key to publish with; without one, the queue's name.
        publishers: how many processes publish; 0 publishes nothing.
        consumers: how many processes consume; 0 consumes nothing.
        confirms: as of `Publisher`; None is a window of 500.
        mandatory: as of `Publisher`.
        on_message: as of `Consumer`; a function that can be pickled.
        ack: as of `Consumer`; None is each.
        prefetch_count: as of `Consumer`.
        idle_s: a consumer leaves when nothing came for so long, in seconds.
        timeout_s: give up after so many seconds.
        executor: what runs the processes' jobs, as of `run_jobs`.

    Returns:
        What happened, as all processes saw it.

    Raises:
        BrokerError: a publisher or a consumer failed.
        TimeLimitError: the time limit passed.
        ValueError: an argument is out of range.
    """
    _check(publishers, consumers, queue)
    url = broker if isinstance(broker, str) else broker.url
    jobs: list[Callable[[], Ledger]] = [
        ConsumeJob(
            url,
            load,
            queue,
            on_message,
            ack,
            prefetch_count,
            idle_s,
            timeout_s,
            name=f"consumer-{number + 1}",
        )
        for number in range(consumers)
    ]
    jobs += [
        PublishJob(
            url,
            part,
            exchange,
            routing_key or queue,
            confirms,
            mandatory,
            timeout_s,
            name=f"publisher-{number + 1}",
        )
        for number, part in enumerate(load.split(publishers) if publishers else ())
    ]
    return Ledger().merge(run_jobs(jobs, timeout_s=timeout_s, executor=executor))


def _check(publishers: int, consumers: int, queue: str) -> None:
    for name, value in (("publishers", publishers), ("consumers", consumers)):
        if value < 0:
            raise ValueError(f"{name} is {value}; it goes from 0")
    if publishers + consumers == 0:
        raise ValueError("publishers and consumers are both 0; one of them must be above")
    if consumers and not queue:
        raise ValueError("consumers need the name of a queue")
