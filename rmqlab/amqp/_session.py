"""One connection with one channel, driven by whoever calls.

pika's asynchronous connection is the one that can have many messages on their way at once.
A session runs its loop from the calling thread, for as long as the caller waits for
something: no thread of its own, and plain calls that return or raise.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import pika
from pika import exceptions as amqp_errors
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel

from rmqlab.amqp._joined import JoinedConnection
from rmqlab.broker import Address, Broker, explain, quiet_pika
from rmqlab.errors import BrokerError, BrokerUnavailableError, ChannelClosedError, TimeLimitError

CLOSE_TIMEOUT_S = 5
CLOSE_BLOCKED_TIMEOUT_S = 0.5
# Longer than the handshake's own limit, which gives the better reason.
OPEN_TIMEOUT_S = 15


class Session:
    """An open connection and channel, whose loop turns only while somebody waits.

    It belongs to the thread that made it; only `wake` may be called from another one.

    Args:
        broker: a broker of `start_broker`, or an AMQP URL.
        name: the connection's name, as the broker's management pages show it.

    Raises:
        AddressError: the URL cannot be right.
        BrokerUnavailableError: why no connection could be opened, and the next step.
    """

    def __init__(self, broker: Broker | str, *, name: str) -> None:
        address = Address.parse(broker if isinstance(broker, str) else broker.url)
        parameters = address.parameters
        parameters.client_properties = {"connection_name": name}
        self.name = name
        self.blocked = ""
        self._failure: Exception | None = None
        self._loop: Any = IOLoop()
        self._loop.activate_poller()
        try:
            with quiet_pika():
                self._open(parameters, address)
        except BaseException:
            self.close()
            raise

    def _open(self, parameters: pika.URLParameters, address: Address) -> None:
        outcome: list[Exception | None] = []
        self.connection = JoinedConnection(
            parameters,
            on_open_callback=lambda _: outcome.append(None),
            on_open_error_callback=lambda _, error: outcome.append(error),
            on_close_callback=self._on_connection_closed,
            custom_ioloop=self._loop,
        )
        self.run_until(lambda: bool(outcome), time_limit_s=OPEN_TIMEOUT_S, what="the connection to open")
        if outcome[0] is not None:
            error = outcome[0]
            raise BrokerUnavailableError(explain(_innermost(error), address)) from error
        self.connection.add_on_connection_blocked_callback(self._on_blocked)
        self.connection.add_on_connection_unblocked_callback(self._on_unblocked)
        opened: list[Channel] = []
        self.channel: Channel = self.connection.channel(on_open_callback=opened.append)
        self.channel.add_on_close_callback(self._on_channel_closed)
        self.run_until(lambda: bool(opened), time_limit_s=OPEN_TIMEOUT_S, what="the channel to open")

    @property
    def is_open(self) -> bool:
        """Whether the channel is open."""
        return self._loop is not None and bool(self.channel.is_open)

    def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Call a method of the channel that the broker answers, and give the answer.

        Args:
            method: one of the channel's methods with a `callback`, such as `queue_declare`.
            arguments: its arguments.

        Returns:
            The method of the answer, such as `Queue.DeclareOk`.

        Raises:
            ChannelClosedError: the broker refused, and closed the channel; says why.
            BrokerError: the connection was lost.
        """
        self._raise_failure()
        answers: list[Any] = []
        method(callback=answers.append, **arguments)
        self.run_until(lambda: bool(answers), time_limit_s=OPEN_TIMEOUT_S, what=f"{method.__name__}")
        return answers[0].method

    def run_until(self, condition: Callable[[], bool], *, time_limit_s: float, what: str) -> None:
        """Turn the loop until something is so.

        Args:
            condition: what is waited for; looked at after every turn.
            time_limit_s: give up after so many seconds.
            what: what is waited for, in words, for the error.

        Raises:
            TimeLimitError: it was not so in time.
            ChannelClosedError: the broker closed the channel.
            BrokerError: the connection was lost.
        """
        if self._loop is None:
            self._raise_failure()
        deadline_s = time.monotonic() + time_limit_s
        alarm = self._loop.call_later(time_limit_s, _nothing)  # so that a turn ends by then
        try:
            while not condition():
                self._raise_failure()
                if time.monotonic() >= deadline_s:
                    why = f", while the broker blocks publishers ({self.blocked})" if self.blocked else ""
                    raise TimeLimitError(
                        f"{self.name} waited {time_limit_s:g} s for {what}{why}. "
                        "Next: see what holds up the broker, or give a longer time_limit_s"
                    )
                self.turn()
        finally:
            self._loop.remove_timeout(alarm)

    def turn(self, wait_s: float = math.inf) -> None:
        """Let the loop send and receive what there is.

        Args:
            wait_s: how long to wait until there is something, in seconds.
        """
        alarm = self._loop.call_later(max(wait_s, 0), _nothing) if wait_s < math.inf else None
        self._loop.poll()
        self._loop.process_timeouts()
        if alarm is not None:
            self._loop.remove_timeout(alarm)

    def wake(self) -> None:
        """End the turn that waits, or else the next one. May be called from any thread."""
        loop = self._loop
        if loop is not None:
            loop.add_callback_threadsafe(_nothing)

    def close(self) -> None:
        """Close the channel and the connection. Safe to call twice, and when they are gone."""
        connection = getattr(self, "connection", None)
        with contextlib.suppress(BrokerError, amqp_errors.AMQPError), quiet_pika():
            if connection is not None and not connection.is_closed:
                connection.release()
                if connection.is_open:
                    connection.close()
                # A broker that blocks publishers does not even read that they go.
                self._run_until_closed(CLOSE_BLOCKED_TIMEOUT_S if self.blocked else CLOSE_TIMEOUT_S)
        if self._loop is not None:
            self._loop.deactivate_poller()
            self._loop.close()
            self._loop = None
        self._failure = BrokerError(f"{self.name} is closed. Next: make a new one")

    def drop(self) -> None:
        """Let the connection go as a process does that is killed: without a word to the broker."""
        if self.connection.is_open:
            self.connection.drop()
            self._run_until_closed(CLOSE_TIMEOUT_S)

    def check(self) -> None:
        """Raise what ended the channel or the connection, if one has ended."""
        self._raise_failure()

    def _run_until_closed(self, time_limit_s: float) -> None:
        self._failure = None
        with contextlib.suppress(BrokerError), quiet_pika():
            self.run_until(lambda: self.connection.is_closed, time_limit_s=time_limit_s, what="the end")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _on_blocked(self, _: object, frame: Any) -> None:
        self.blocked = frame.method.reason or "no reason given"

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = ""

    def _on_channel_closed(self, _: Channel, reason: Exception) -> None:
        if isinstance(reason, amqp_errors.ChannelClosedByBroker):
            self._failure = ChannelClosedError(reason.reply_code, reason.reply_text, self.name)

    def _on_connection_closed(self, _: object, reason: Exception) -> None:
        if self._failure is None:
            self._failure = BrokerError(
                f"{self.name} lost the connection ({reason!r}). "
                "Next: see that the broker runs, and start again"
            )


def _nothing() -> None:
    """Be called: a turn ends when it has called somebody."""


def _innermost(error: BaseException) -> Exception:
    """Give the reason behind pika's wrappers of a connection that did not open."""
    while True:
        inner: Any = getattr(error, "exceptions", None) or error.args
        nested = [each for each in inner if isinstance(each, BaseException)]
        if not nested:
            return error if isinstance(error, Exception) else Exception(str(error))
        error = nested[-1]
