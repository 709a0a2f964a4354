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
from rmqlab.amqp._definitions import Binding, Exchange, ExchangeType, Overflow, Queue, QueueType
from rmqlab.amqp._publish import Publisher
from rmqlab.amqp._recovery import ConnectionEvent, Recovery
from rmqlab.amqp._session import BrokerTarget, Session
from rmqlab.amqp._settle import Acks, ConsumeObserver, Outcome, ack_each, ack_every, auto_ack
from rmqlab.amqp._topology import Topology
from rmqlab.amqp._work import Crash, FailurePolicy

__all__ = [
    "Acks",
    "Binding",
    "BrokerTarget",
    "Confirms",
    "ConnectionEvent",
    "ConsumeObserver",
    "Consumer",
    "Crash",
    "Exchange",
    "ExchangeType",
    "FailurePolicy",
    "Outcome",
    "Overflow",
    "PublishObserver",
    "Publisher",
    "Queue",
    "QueueType",
    "Recovery",
    "Session",
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
