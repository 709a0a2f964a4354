"""pika made ready for work."""

from rmqlab.amqp._connect import connect

__all__ = ["connect"]
