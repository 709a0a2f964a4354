"""A running RabbitMQ, wherever it comes from: an external one, a container, a private node."""

from rmqlab.broker._address import TIMEOUTS, Address, explain, innermost, is_refusal, quiet_pika
from rmqlab.broker._broker import Broker, address_of
from rmqlab.broker._faults import QUEUE_METADATA_FLUSH_S
from rmqlab.broker._link import Link
from rmqlab.broker._outage import Fault, Outage
from rmqlab.broker._reach import reach
from rmqlab.broker._source import Check
from rmqlab.broker._start import check_sources, chosen_source, start_broker

__all__ = [
    "QUEUE_METADATA_FLUSH_S",
    "TIMEOUTS",
    "Address",
    "Broker",
    "Check",
    "Fault",
    "Link",
    "Outage",
    "address_of",
    "check_sources",
    "chosen_source",
    "explain",
    "innermost",
    "is_refusal",
    "quiet_pika",
    "reach",
    "start_broker",
]
