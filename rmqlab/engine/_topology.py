"""What the engine needs on its broker."""

from __future__ import annotations

from rmqlab import names
from rmqlab.amqp import Binding, Exchange, Queue, Topology

# Exchanges and queue are durable, so that they are there after a restart.
TOPOLOGY = Topology(
    exchanges=(
        Exchange(name=names.EVENTS, type="fanout"),
        Exchange(name=names.ROUTING, type="direct"),
    ),
    queues=(Queue(name=names.TASKS),),
    bindings=(Binding(exchange=names.ROUTING, queue=names.TASKS, routing_key=names.HIGH_PRIORITY),),
)
