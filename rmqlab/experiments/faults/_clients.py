"""The clients that are laid side by side, each in its best set-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from rmqlab.experiments.clients._model import AIO_PIKA, RMQLAB, Library
from rmqlab.experiments.faults import _aio_pika, _kombu, _rmqlab
from rmqlab.experiments.faults._job import Job

KOMBU = Library("kombu", "kombu", "kombu")


@dataclass(frozen=True, slots=True)
class Client:
    """A way to publish and to consume that is to survive faults.

    Attributes:
        name: what it is called.
        library: whose code it runs.
        publish: publishes until the job is ending, and then waits for its confirms.
        consume: consumes until the job is stopping.
        modules: what is to be imported before its threads start, as two threads that import
            for the first time at once may meet half of a module.
    """

    name: str
    library: Library
    publish: Callable[[Job], None]
    consume: Callable[[Job], None]
    modules: tuple[str, ...] = ()

    def load(self) -> None:
        """Import what its threads need."""
        for name in self.modules:
            import_module(name)


CLIENTS = {
    client.name: client
    for client in (
        Client("rmqlab", RMQLAB, _rmqlab.publish_each, _rmqlab.consume),
        Client("rmqlab, window 100", RMQLAB, _rmqlab.publish_window, _rmqlab.consume),
        Client("aio-pika", AIO_PIKA, _aio_pika.publish, _aio_pika.consume, _aio_pika.MODULES),
        Client("kombu", KOMBU, _kombu.publish, _kombu.consume, _kombu.MODULES),
    )
}
