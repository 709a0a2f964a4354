"""A running RabbitMQ, wherever it comes from: an external one, a container, a private node."""

from rmqlab.broker._broker import Broker
from rmqlab.broker._link import Link
from rmqlab.broker._outage import Fault, Outage
from rmqlab.broker._own_broker import QUEUE_METADATA_FLUSH_S, OwnBroker
from rmqlab.broker._start import start_broker

__all__ = [
    "QUEUE_METADATA_FLUSH_S",
    "Broker",
    "Fault",
    "Link",
    "Outage",
    "OwnBroker",
    "start_broker",
]
