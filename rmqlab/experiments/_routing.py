"""Where an exchange sends messages, and the outcome of those that no queue wants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.amqp import Topology, connect
from rmqlab.broker import Broker
from rmqlab.engine import EngineAPI, Task
from rmqlab.experiments._workload import Workload
from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger

CAUGHT = "●"


def table_of_keys(channel: BlockingChannel, keys: Sequence[str], queues: Mapping[str, str]) -> pd.DataFrame:
    """Empty queues, and show which of them got the message of each routing key.

    Every message's body is the routing key that it was published with. Publish with confirms,
    so that all of them are in their queues.

    Args:
        channel: an open channel.
        keys: the routing keys.
        queues: the name of each queue, by what its column is to be called, such as the pattern
            that it is bound with.

    Returns:
        One row a routing key, one column a queue: `●` where the queue had its message, and an
        empty text where it had not.
    """
    caught = {name: _take_all(channel, queue) for name, queue in queues.items()}
    return pd.DataFrame(
        {name: [CAUGHT if key.encode() in bodies else "" for key in keys] for name, bodies in caught.items()},
        index=pd.Index(keys, name="routing key"),
    )


def _take_all(channel: BlockingChannel, queue: str) -> set[bytes]:
    bodies: set[bytes] = set()
    while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
        bodies.add(message[2])
    return bodies


def route_workload(
    broker: Broker,
    workload: Workload,
    *,
    topology: Topology,
    publish: Callable[[EngineAPI, Task, str], object],
    mandatory: bool = False,
) -> dict[str, int]:
    """Publish a workload that nobody consumes, and count where its tasks are.

    The topology is deleted first, with all that its queues hold, and declared anew, so that no
    binding of former times is left.

    Args:
        broker: a running broker.
        workload: the tasks.
        topology: exchanges, queues and bindings.
        publish: publishes a task with this message id.
        mandatory: whether the broker is to give back what no queue wants.

    Returns:
        published, confirmed and returned (messages), the number of messages in each queue by
        its name, and lost: published, not returned, and in no queue.

    Raises:
        BrokerError: the broker refuses the topology or a message, or is gone.
    """
    topology.delete(broker)
    ledger = Ledger()
    recorder = ledger.publisher("engine-api", identify=by_message_id)
    with EngineAPI(broker, topology=topology, mandatory=mandatory, observer=recorder) as api:
        for message, job in enumerate(workload):
            publish(api, job.task, str(message))
    with contextlib.closing(connect(broker)) as connection:
        channel = connection.channel()
        ready = {
            queue.name: int(channel.queue_declare(queue.name, passive=True).method.message_count)
            for queue in topology.queues
        }
    totals = ledger.totals()
    return {
        "published": totals.published,
        "confirmed": totals.confirmed,
        "returned": totals.returned,
        **ready,
        "lost": totals.published - totals.returned - sum(ready.values()),
    }
