"""One connection with one channel, driven by whoever calls.

pika's asynchronous connection is the one that can have many messages on their way at once.
A session runs its loop from the calling thread, for as long as the caller waits for
something: no thread of its own, and plain calls that return or raise.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from pika import exceptions as amqp_errors
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from rmqlab.amqp._recovery import ConnectionEvent, EventKind, Recovery, can_recover, may_pass
from rmqlab.amqp._write_buffer import BufferedConnection
from rmqlab.broker import Broker
from rmqlab.broker._broker import address_of
from rmqlab.broker._connection import TIMEOUTS, explain, innermost, is_refusal, quiet_pika, reach
from rmqlab.errors import (
    AddressError,
    BrokerError,
    BrokerRefusedError,
    BrokerUnavailableError,
    ChannelClosedError,
    ConnectionLostError,
    StoppedError,
    TimeLimitError,
)
from rmqlab.interrupts import WAKE_EVERY_S, deferred

logger = logging.getLogger("rmqlab.amqp")

LEVELS: dict[EventKind, int] = {"retrying": logging.INFO, "given up": logging.ERROR}
CLOSE_TIMEOUT_S = 3
# Nobody is asked, or nobody answers: pika's loop turns a few times.
DROP_TIMEOUT_S = 1
# Longer than the handshake's own limit, which gives the better reason.
OPEN_TIMEOUT_S = 15
# What ends, ends within this time once somebody asks for it: by stop or by an interrupt.
STOP_LIMIT_S = 3
# Where there will be another attempt: a host that is just coming back may leave the first
# without an answer, and TCP itself asks again after 1, 3 and 7 seconds only.
ATTEMPT_TIMEOUT_S = 2

BrokerTarget = Broker | str | Sequence[str]


class Session:
    """A connection with its channel, whose loop turns only while somebody waits.

    It belongs to the thread that made it; only `wake` and `stop` may be called from another one.
    Whoever calls it defers interrupts: they are raised between two turns of the loop, when what
    pika and we know of the connection is whole. While `is_ending` they only shorten the wait.
    """

    def __init__(
        self,
        broker: BrokerTarget,
        *,
        name: str,
        recovery: Recovery | None = None,
        set_up: Callable[[], str] = str,
    ) -> None:
        """Note what is to be opened; `set_up` prepares each new channel, and says what it did."""
        hosts = [broker] if isinstance(broker, str) or not isinstance(broker, Sequence) else broker
        if not hosts:
            raise AddressError(f"{name} was given no host to connect to. Next: give one AMQP URL at least")
        self._addresses = [address_of(each, given_to=name) for each in hosts]
        random.shuffle(self._addresses)
        self.name = name
        self.recovery = recovery
        self._set_up = set_up
        self.is_stopped = False
        self.blocked = ""
        self.is_ending = False
        self.is_dropped = False  # by ourselves, so that there is to be another one in its place
        self._failure: BrokerError | None = None
        self._loop: Any = IOLoop()
        self._loop.activate_poller()
        self._tick()

    def open(self) -> Self:
        """Open the first connection, or leave nothing open."""
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def recover(self, error: BrokerError, *, messages: tuple[str | None, ...] = ()) -> None:
        """Open a new connection in place of one that is lost; raise the error if that is not to be."""
        if not self.is_dropped and (self.recovery is None or not can_recover(error)):
            raise error
        self.notify("lost", str(error), messages)
        try:
            detail = self._connect()
        except BaseException:
            # Half of a connection is none: who goes on after this begins with another one.
            self._failure = ConnectionLostError(
                f"{self.name} has no connection. Next: see that the broker runs, and try again"
            )
            raise
        self.is_dropped = False
        self.notify("recovered", detail)

    def notify(self, kind: EventKind, detail: str = "", messages: tuple[str | None, ...] = ()) -> None:
        """Log a step, and hand it to the recovery's `on_event`."""
        logger.log(LEVELS.get(kind, logging.WARNING), "%s %s: %s", self.name, kind, detail or "-")
        if self.recovery is not None and self.recovery.on_event is not None:
            self.recovery.on_event(ConnectionEvent(kind, self.name, detail, messages))

    def _connect(self) -> str:
        recovery = self.recovery
        if recovery is None:
            return reach(self._open, host=self._addresses[0].host, pause=self._pause)
        retrying = Retrying(
            sleep=self._pause,
            wait=wait_random_exponential(multiplier=recovery.first_wait_s, max=recovery.longest_wait_s),
            stop=stop_after_delay(recovery.timeout_s),
            retry=retry_if_exception(may_pass),
            before_sleep=self._on_failed_attempt,
            reraise=True,
        )
        try:
            return retrying(self._open)
        except BrokerError as error:
            if not isinstance(error, StoppedError):
                self.notify("given up", str(error))
            raise

    def _on_failed_attempt(self, state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        self.notify("retrying", f"attempt {state.attempt_number} failed: {error}")

    def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not self.is_stopped and (left_s := end_s - time.monotonic()) > 0:
            self.process_events(left_s)
        if self.is_stopped:
            raise StoppedError(
                f"{self.name} was stopped while it had no connection. Next: make a new one to go on"
            )

    @quiet_pika()
    def _open(self) -> str:
        """Open a connection to the next host, and set up its channel."""
        self._close_connection()
        self._failure, self.blocked = None, ""
        address = self._addresses[0]
        self._addresses.append(self._addresses.pop(0))
        parameters = address.parameters_for(self.name, **TIMEOUTS)
        if self.recovery:
            parameters.socket_timeout = min(parameters.socket_timeout, ATTEMPT_TIMEOUT_S)
            parameters.heartbeat = self.recovery.heartbeat_s or parameters.heartbeat
        outcome: list[Exception | None] = []
        self.connection = connection = BufferedConnection(
            parameters,
            on_open_callback=lambda _: outcome.append(None),
            on_open_error_callback=lambda _, error: outcome.append(error),
            on_close_callback=self._on_connection_closed,
            custom_ioloop=self._loop,
        )
        self.run_until(
            lambda: bool(outcome) or self.is_stopped,
            timeout_s=OPEN_TIMEOUT_S,
            what="the connection to open",
        )
        if not outcome:
            self._pause(0)
        if outcome[0] is not None:
            error = innermost(outcome[0])
            kind = BrokerRefusedError if is_refusal(error) else BrokerUnavailableError
            raise kind(explain(error, address)) from outcome[0]
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        opened: list[Channel] = []
        self.channel: Channel = connection.channel(on_open_callback=opened.append)
        self.channel.add_on_close_callback(self._on_channel_closed)
        self.run_until(lambda: bool(opened), timeout_s=OPEN_TIMEOUT_S, what="the channel to open")
        return self._set_up()

    def call(self, method: Callable[..., Any], *, timeout_s: float = OPEN_TIMEOUT_S, **arguments: Any) -> Any:
        """Call a method of the channel that has a `callback`, and return the broker's answer."""
        self.check()
        answers: list[Any] = []
        method(callback=answers.append, **arguments)
        self.run_until(lambda: bool(answers), timeout_s=timeout_s, what=method.__name__)
        return answers[0].method

    def run_until(self, condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Turn the loop until a condition holds; `what` names it in the error."""
        began_s = time.monotonic()
        while not condition():
            self.check()
            ends_soon = self.is_ending and deferred.is_pending
            limit_s = min(timeout_s, STOP_LIMIT_S) if ends_soon else timeout_s
            if time.monotonic() >= began_s + limit_s:
                why = f", while the broker blocks publishers ({self.blocked})" if self.blocked else ""
                raise TimeLimitError(
                    f"{self.name} waited {timeout_s:g} s for {what}{why}. "
                    "Next: see what holds up the broker, or give a longer timeout_s"
                )
            self.process_events()

    def process_events(self, wait_s: float = WAKE_EVERY_S) -> None:
        """Let the loop send and receive what there is; wait for it so many seconds, a tenth at most."""
        alarm = self._loop.call_later(max(wait_s, 0), _nothing) if wait_s < WAKE_EVERY_S else None
        self._loop.poll()
        self._loop.process_timeouts()
        if alarm is not None:
            self._loop.remove_timeout(alarm)
        if deferred.is_pending and not self.is_ending:
            deferred.check()

    def _tick(self) -> None:
        """Wake a waiting `process_events` ten times a second, to look at the time and at interrupts."""
        self._loop.call_later(WAKE_EVERY_S, self._tick)

    def wake(self) -> None:
        """Wake a waiting `process_events`, or end the next one at once. May be called from any thread."""
        loop = self._loop
        if loop is not None:
            loop.add_callback_threadsafe(_nothing)

    def stop(self) -> None:
        """Let a wait for another attempt end. May be called from any thread."""
        self.is_stopped = True
        self.wake()

    def close(self) -> None:
        """Close the channel and the connection. Safe to call twice, and when they are gone."""
        with deferred:
            if self._loop is not None:
                self.is_ending = True
                self._close_connection()
                self._loop.deactivate_poller()
                self._loop.close()
                self._loop = None
            self._failure = BrokerError(f"{self.name} is closed. Next: make a new one")

    @quiet_pika()
    def _close_connection(self) -> None:
        """Close the connection, or drop it where the broker does not answer: no socket stays open."""
        connection = getattr(self, "connection", None)
        if connection is None or connection.is_closed:
            return
        # A broker that blocks publishers does not even read that they go.
        is_responsive = connection.is_open and not self.blocked
        with contextlib.suppress(amqp_errors.AMQPError):
            connection.release()
            connection.close()
        self._run_until_closed(CLOSE_TIMEOUT_S if is_responsive else DROP_TIMEOUT_S)
        self.drop()

    @quiet_pika()
    def drop(self) -> None:
        """Let the connection go as a process does that is killed: without a word to the broker."""
        if not self.connection.is_closed:
            self.connection.drop()
            self._run_until_closed(DROP_TIMEOUT_S)

    def check(self) -> None:
        """Raise what ended the channel or the connection, if one has ended."""
        if self._failure is not None:
            raise self._failure

    def _run_until_closed(self, timeout_s: float) -> None:
        self._failure = None
        with contextlib.suppress(BrokerError):
            self.run_until(lambda: self.connection.is_closed, timeout_s=timeout_s, what="the end")

    def _on_blocked(self, _: object, frame: Any) -> None:
        self.blocked = frame.method.reason or "no reason given"
        self.notify("blocked", self.blocked)

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = ""
        self.notify("unblocked")

    # A connection that ended late, or its channel, has nothing to say of the one in its place.

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        if channel is self.channel and isinstance(reason, amqp_errors.ChannelClosedByBroker):
            self._failure = ChannelClosedError(reason.reply_code, reason.reply_text, self.name)

    def _on_connection_closed(self, connection: object, reason: Exception) -> None:
        if connection is self.connection and self._failure is None:
            self._failure = ConnectionLostError(
                f"{self.name} lost the connection ({reason!r}). "
                "Next: see that the broker runs, and start again"
            )


def _nothing() -> None:
    """Be called: pika's loop ends its turn when it has called somebody."""
