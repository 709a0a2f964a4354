"""Where an exchange sends messages, and the outcome of those that no queue wants."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import pandas as pd
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.amqp import Topology, connect
from rmqlab.broker import Broker
from rmqlab.engine import TOPOLOGY, EngineAPI
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.routing_figures import plot_routes
from rmqlab.experiments.workers import Publish, publish_task
from rmqlab.experiments.workload import Workload, load_workload
from rmqlab.measure import Ledger, by_message_id, provenance

CAUGHT = "●"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig(Config):
    """What is published, and how it is routed.

    Attributes:
        workload: the tasks.
        topology: exchanges, queues and bindings.
        publish: publishes a task with a message id.
        mandatory: True lets the broker give back what no queue wants.
    """

    workload: Workload = field(default_factory=lambda: load_workload().head(100))
    topology: Topology = TOPOLOGY
    publish: Publish = publish_task
    mandatory: bool = False

    @classmethod
    def full(cls, **changes: Any) -> Self:
        """Return the size of a reference run: all tasks of the day, with these changes."""
        return cls(**{"workload": load_workload(), **changes})


def route_workload(broker: Broker, config: RoutingConfig | None = None) -> Result:
    """Publish a workload that nobody consumes, and count where its tasks are.

    The topology is deleted first, with all that its queues hold, so that no earlier binding is left.

    Args:
        broker: a running broker.
        config: what is published; `RoutingConfig.quick()` if None.

    Returns:
        One row: published, confirmed and returned (messages), the number of messages in each
        queue by its name, and lost (published, not returned, and in no queue).

    Raises:
        BrokerError: the broker refuses the topology or a message, or is gone.
    """
    config = config or RoutingConfig.quick()
    config.topology.delete(broker)
    ledger = Ledger()
    recorder = ledger.publisher("engine-api", identify=by_message_id)
    with EngineAPI(broker, topology=config.topology, mandatory=config.mandatory, observer=recorder) as api:
        for message, job in enumerate(config.workload):
            config.publish(api, job.task, str(message))
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        ready = {
            queue.name: int(channel.queue_declare(queue.name, passive=True).method.message_count)
            for queue in config.topology.queues
        }
    totals = ledger.totals()
    row = {
        "published": totals.published,
        "confirmed": totals.confirmed,
        "returned": totals.returned,
        **ready,
        "lost": totals.published - totals.returned - sum(ready.values()),
    }
    return Result(pd.DataFrame([row]), plot_routes, provenance(broker), ledgers={"run": ledger})


def table_of_keys(channel: BlockingChannel, keys: Sequence[str], queues: Mapping[str, str]) -> pd.DataFrame:
    """Empty queues, and show which of them got the message of each routing key.

    Each message's body is the routing key that it was published with. Publish with confirms,
    so that all of them are in their queues.

    Args:
        channel: an open channel.
        keys: the routing keys.
        queues: the name of each queue, by the name of its column, such as the pattern of its binding.

    Returns:
        One row a routing key, one column a queue: `●` if the queue had its message, else an
        empty text.
    """
    caught = {name: _take_all(channel, queue) for name, queue in queues.items()}
    return pd.DataFrame(
        {name: [CAUGHT if key.encode() in bodies else "" for key in keys] for name, bodies in caught.items()},
        index=pd.Index(keys, name="routing key"),
    )


def _take_all(channel: BlockingChannel, queue: str) -> set[bytes]:
    take = partial(channel.basic_get, queue, auto_ack=True)
    return {body for _, _, body in iter(take, (None, None, None))}
