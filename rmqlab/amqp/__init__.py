"""pika made ready for work."""

from rmqlab.amqp._confirms import (
    Confirms,
    PublishObserver,
    confirm_batch,
    confirm_each,
    confirm_window,
    fire_and_forget,
)
from rmqlab.amqp._connect import connect, purge
from rmqlab.amqp._consume import Consumer
from rmqlab.amqp._publish import Publisher
from rmqlab.amqp._recovery import ConnectionEvent, Recovery
from rmqlab.amqp._settle import Acks, ConsumeObserver, ack_each, ack_every, auto_ack
from rmqlab.amqp._topology import Binding, Exchange, Queue, Topology
from rmqlab.amqp._work import Crash

__all__ = [
    "Acks",
    "Binding",
    "Confirms",
    "ConnectionEvent",
    "ConsumeObserver",
    "Consumer",
    "Crash",
    "Exchange",
    "PublishObserver",
    "Publisher",
    "Queue",
    "Recovery",
    "Topology",
    "ack_each",
    "ack_every",
    "auto_ack",
    "confirm_batch",
    "confirm_each",
    "confirm_window",
    "connect",
    "fire_and_forget",
    "purge",
]
