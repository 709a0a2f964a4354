"""Who takes part: each library in the fastest ways that its documentation gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from rmqlab.errors import RmqlabError
from rmqlab.experiments.clients import aio_pika, amqpstorm, pika, py_amqp, rmqlab
from rmqlab.experiments.clients.job import ClientJob


class ClientError(RmqlabError):
    """A run of a client library that failed, or that lost messages."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to publish, or to consume, with one library.

    `work` returns the seconds from the first message until the last one is confirmed, or acknowledged;
    connecting and closing do not count.
    """

    role: Literal["publish", "consume"]
    name: str
    library: str
    work: Callable[[ClientJob], float]

    def run(self, job: ClientJob) -> float:
        """Do a job, in another process; an error is one line, without the password."""
        try:
            return self.work(job)
        except Exception as error:  # of any library: not all of them can be pickled
            line = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
            password = urlsplit(job.url).password
            raise ClientError(line.replace(f":{password}@", ":***@")) from None


VARIANTS = (
    Variant("publish", "pika BlockingConnection, confirm each", "pika", pika.publish_confirm_each),
    Variant("publish", "pika SelectConnection, window", "pika", pika.publish_window),
    Variant("publish", "aio-pika, window", "aio-pika", aio_pika.publish_window),
    Variant("publish", "py-amqp, confirm each", "py-amqp", py_amqp.publish_confirm_each),
    Variant("publish", "py-amqp, window", "py-amqp", py_amqp.publish_window),
    Variant("publish", "amqpstorm, confirm each", "amqpstorm", amqpstorm.publish_confirm_each),
    Variant("publish", "rmqlab publish, window", "rmqlab", rmqlab.publish_window),
    Variant("publish", "rmqlab publish_all, window", "rmqlab", rmqlab.publish_all),
    Variant("consume", "pika BlockingConnection", "pika", pika.consume),
    Variant("consume", "aio-pika", "aio-pika", aio_pika.consume),
    Variant("consume", "py-amqp", "py-amqp", py_amqp.consume),
    Variant("consume", "amqpstorm", "amqpstorm", amqpstorm.consume),
    Variant("consume", "rmqlab", "rmqlab", rmqlab.consume),
)
# What the others of a role are compared with.
BASELINES = {"publish": "pika BlockingConnection, confirm each", "consume": "pika BlockingConnection"}


def choose_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants of these names, or all if there are none, and the baselines of their roles."""
    known = {each.name: each for each in VARIANTS}
    if unknown := [name for name in names if name not in known]:
        choice = ", ".join(map(repr, known))
        raise ValueError(f"There is no variant {unknown[0]!r}. Next: name some of {choice}, or none")
    chosen = {*(names or known)}
    chosen |= {BASELINES[known[name].role] for name in chosen}
    return tuple(each for each in VARIANTS if each.name in chosen)
