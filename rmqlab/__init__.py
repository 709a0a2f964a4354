"""rmqlab: a laboratory that teaches RabbitMQ in Python by measuring it.

The parts, each standing on the ones before it: `rmqlab.broker` (a running RabbitMQ),
`rmqlab.amqp` (pika made ready for work), `rmqlab.engine` (the application of the lessons),
`rmqlab.measure` (what became of every message), `rmqlab.experiments` (what the lessons measure, and
its figures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmqlab.errors import RmqlabError

if TYPE_CHECKING:
    from rmqlab.broker import Broker, start_broker

__all__ = ["Broker", "RmqlabError", "start_broker"]


def __getattr__(name: str) -> Any:
    # pika is loaded when it is first needed, so that `import rmqlab` is quick.
    if name in ("Broker", "start_broker"):
        from rmqlab import broker

        return getattr(broker, name)
    raise AttributeError(f"module 'rmqlab' has no attribute {name!r}")
