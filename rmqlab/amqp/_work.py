"""The work of a message: done in a consumer's thread or in one of its own, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

import pika

from rmqlab.amqp._settle import Outcome
from rmqlab.amqp._topology import Topology
from rmqlab.errors import RejectError
from rmqlab.interrupts import allowed

logger = logging.getLogger("rmqlab.amqp")

FailurePolicy = Literal["requeue", "reject-requeue", "reject", "dead-letter"]
Message = tuple[pika.spec.Basic.Deliver, pika.BasicProperties, bytes]
OnMessage = Callable[[pika.spec.Basic.Deliver, pika.BasicProperties, bytes], object]


class Crash(BaseException):
    """Raised by a message's work to end its consumer as a crash would.

    The connection is dropped without a word to the broker, and nothing that the consumer
    holds is acknowledged, requeued or rejected; the broker has read what was settled before.
    `run` raises it to its caller.
    """


def check_policy(on_failure: FailurePolicy, queue: str, topology: Topology | None) -> None:
    """Raise a ValueError if there is no such policy, or no dead-letter exchange where it needs one."""
    if on_failure not in get_args(FailurePolicy):
        raise ValueError(f"on_failure is {on_failure!r}; it is one of {get_args(FailurePolicy)}")
    queues = topology.queues if topology else ()
    if on_failure == "dead-letter" and not any(
        each.name == queue and each.dead_letter_exchange is not None for each in queues
    ):
        raise ValueError(
            f"on_failure is 'dead-letter', but there is no dead-letter exchange for the queue {queue!r} in "
            "the topology; give it one, or say 'reject', which drops the messages"
        )


class Work:
    """Does the work of messages, one after another, in a thread of its own if that has a name."""

    def __init__(
        self, on_message: OnMessage | None, on_failure: FailurePolicy, thread_name: str | None
    ) -> None:
        self._on_message = on_message
        self._of_failure: Outcome = "requeued" if on_failure.endswith("requeue") else "rejected"
        self.is_threaded = thread_name is not None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=thread_name) if thread_name else None

    def do(self, message: Message, wait: Callable[[], object], wake: Callable[[], object]) -> Outcome:
        """Do the work of a message, and return its outcome.

        Work in a thread of its own is waited for: `wait` is called until it is done, when `wake`
        is called in that thread so that `wait` returns.
        """
        if self._on_message is None:
            return "acked"
        if self._thread is None:
            return self._outcome(self._on_message, message)
        work = self._thread.submit(self._outcome, self._on_message, message)
        work.add_done_callback(lambda _: wake())
        while not work.done():
            wait()
        return work.result()

    def close(self) -> None:
        """Wait until work in a thread of its own is done, and end the thread."""
        if self._thread:
            self._thread.shutdown(cancel_futures=True)

    def _outcome(self, on_message: OnMessage, message: Message) -> Outcome:
        name = message[1].message_id or "without id"
        try:
            with allowed:
                on_message(*message)
        except RejectError as error:
            logger.error("message %s rejected: %s", name, error)
            return "rejected"
        except Exception:
            logger.exception("message %s failed", name)
            return self._of_failure
        return "acked"
