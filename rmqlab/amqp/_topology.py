"""Exchanges, queues and bindings as data: declared in one call, deleted in one, and drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import pika
from pika import exceptions as amqp_errors
from pika.adapters.blocking_connection import BlockingChannel

from rmqlab.amqp import _diagram
from rmqlab.amqp._connect import connect
from rmqlab.amqp._session import Session
from rmqlab.broker import Broker
from rmqlab.errors import BrokerError, ChannelClosedError, TopologyMismatchError

__all__ = ["Binding", "Exchange", "ExchangeType", "Overflow", "Queue", "QueueType", "Topology"]

ExchangeType = Literal["direct", "fanout", "topic", "headers"]
QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]

# What every broker has, and nobody may declare or delete.
PREDEFINED: dict[str, ExchangeType] = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
}
RESERVED = "amq."
GENERATED = "amq.gen-"  # how the names begin that the broker gives
MAX_NAME_BYTES = 255  # AMQP has one byte for the length
MAX_LONG = 2**63 - 1
MAX_MS = 315_360_000_000  # ten years: RabbitMQ takes no longer time
HEADERS_MATCH = ("all", "any", "all-with-x", "any-with-x")

# The fields that travel as arguments, by RabbitMQ's names for those.
ARGUMENTS = {
    "alternate-exchange": "alternate_exchange",
    "x-queue-type": "type",
    "x-dead-letter-exchange": "dead_letter_exchange",
    "x-dead-letter-routing-key": "dead_letter_routing_key",
    "x-message-ttl": "message_ttl_ms",
    "x-expires": "expires_ms",
    "x-max-length": "max_length",
    "x-max-length-bytes": "max_length_bytes",
    "x-overflow": "overflow",
    "x-max-priority": "max_priority",
    "x-single-active-consumer": "single_active_consumer",
    "x-delivery-limit": "delivery_limit",
}
# What the numbers go from and to, as RabbitMQ 3.10, 4.0 and 4.3 take them alike.
LIMITS = {
    "message_ttl_ms": (0, MAX_MS),
    "expires_ms": (1, MAX_MS),
    "max_length": (0, MAX_LONG),
    "max_length_bytes": (0, MAX_LONG),
    "max_priority": (0, 255),
    "delivery_limit": (-1, MAX_LONG),
}
# The broker cuts its text after 255 bytes, so that all but the argument may be missing.
INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>.*?)' ?for (?:.* but current is (?P<found>.+))?", re.DOTALL
)
TYPED_VALUE = re.compile(r"the value '(.*)' of type '[^']*'", re.DOTALL)


# Calls one of a channel's methods by name, and gives the broker's answer.
Call = Callable[..., Any]
Refusal: TypeAlias = amqp_errors.ChannelClosedByBroker | ChannelClosedError
Where: TypeAlias = Broker | str | BlockingChannel | Session


class _Described:
    """Gives a dataclass a repr that reads like the call that made it."""

    __slots__ = ()

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in _given(self))
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Exchange(_Described):
    """An exchange: where publishers send messages, and what routes these to queues.

    Attributes:
        name: its name, up to 255 bytes; names that begin with `amq.` are the broker's.
        type: how it routes: `direct` (the routing key equals the binding's), `fanout` (to all),
            `topic` (the routing key fits the binding's pattern), `headers` (headers match).
        durable: whether it is still there after the broker's restart.
        auto_delete: whether it goes with the last thing that was bound to it.
        internal: whether only other exchanges may send to it, and no publisher.
        alternate_exchange: name of the exchange that gets what cannot be routed; None drops it.
        arguments: whatever else the broker is to be told, by RabbitMQ's names.

    Raises:
        ValueError: a field has a value that no RabbitMQ from 3.10 to 4.3 takes.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/ae
    """

    name: str
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        it = f"Exchange {self.name!r}"
        if not self.name:
            raise ValueError(f"{it}: the name is empty, which is the default exchange; it is never declared")
        _check_name(it, "name", self.name)
        if self.name.startswith(RESERVED):
            raise ValueError(
                f"{it}: the name begins with {RESERVED!r}, which the broker keeps for its own; "
                "its predefined exchanges need no declaration"
            )
        _check_choice(it, "type", self.type, get_args(ExchangeType))
        _check_flags(it, self, "durable", "auto_delete", "internal")
        if self.alternate_exchange is not None:
            _check_name(it, "alternate_exchange", self.alternate_exchange)
        _keep_arguments(it, self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Queue(_Described):
    """A queue: where messages wait for consumers.

    A field that is None is not told to the broker, whose default, or policy, then holds.

    Attributes:
        name: its name, up to 255 bytes; empty lets the broker choose one.
        type: `classic`, on one node, or `quorum`, replicated.
        durable: whether it is still there after the broker's restart.
        exclusive: whether it belongs to the connection that declares it, and goes with that.
        auto_delete: whether it goes with its last consumer.
        dead_letter_exchange: name of the exchange for messages that are rejected, expire, or
            are dropped for the queue's length; empty is the default exchange.
        dead_letter_routing_key: their routing key from then on; None keeps the one they have.
        message_ttl_ms: how long a message may wait, in milliseconds, 0 to 315,360,000,000.
        expires_ms: how long an unused queue is kept, in milliseconds, from 1.
        max_length: how many messages may wait.
        max_length_bytes: how many bytes the bodies of waiting messages may have in all.
        overflow: what happens when it is full: `drop-head` drops the oldest message (RabbitMQ's
            default), `reject-publish` refuses the new one, `reject-publish-dlx` refuses it and
            dead-letters it.
        max_priority: the highest priority of a message, 0 to 255; None is no priorities.
        single_active_consumer: whether one consumer gets everything, and the next one only
            takes over when that is gone.
        delivery_limit: how many times a message may come back to a quorum queue before it is
            dropped or dead-lettered; -1 is no limit, from RabbitMQ 4.0 on.
        arguments: whatever else the broker is to be told, by RabbitMQ's names.

    Raises:
        ValueError: a field has a value, or two together have values, that no RabbitMQ from 3.10
            to 4.3 takes, or that have no effect in any.

    Sources: https://www.rabbitmq.com/docs/queues, https://www.rabbitmq.com/docs/quorum-queues,
        https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/ttl,
        https://www.rabbitmq.com/docs/maxlength, https://www.rabbitmq.com/docs/priority,
        https://www.rabbitmq.com/docs/consumers (single active consumer)
    """

    name: str
    type: QueueType = "classic"
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow | None = None
    max_priority: int | None = None
    single_active_consumer: bool = False
    delivery_limit: int | None = None
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        it = f"Queue {self.name!r}"
        _check_name(it, "name", self.name)
        if self.name.startswith(RESERVED) and not self.name.startswith(GENERATED):
            raise ValueError(f"{it}: the name begins with {RESERVED!r}, which the broker keeps for its own")
        _check_choice(it, "type", self.type, get_args(QueueType))
        _check_flags(it, self, "durable", "exclusive", "auto_delete", "single_active_consumer")
        for name, (low, high) in LIMITS.items():
            _check_number(it, name, getattr(self, name), low, high)
        if self.overflow is not None:
            _check_choice(it, "overflow", self.overflow, get_args(Overflow))
        for name in ("dead_letter_exchange", "dead_letter_routing_key"):
            if getattr(self, name) is not None:
                _check_name(it, name, getattr(self, name))
        self._check_pairs(it)
        _keep_arguments(it, self)

    def _check_pairs(self, it: str) -> None:
        if self.type == "quorum":
            self._check_quorum(it)
        elif self.delivery_limit is not None:
            raise ValueError(
                f"{it}: delivery_limit is {self.delivery_limit}, but only quorum queues have one; "
                "a classic queue takes None"
            )
        if self.overflow is not None and self.max_length is None and self.max_length_bytes is None:
            raise ValueError(
                f"{it}: overflow is {self.overflow!r} without a limit; set max_length or "
                "max_length_bytes, or leave overflow None (a policy that sets a limit also sets overflow)"
            )
        if self.dead_letter_routing_key is not None and self.dead_letter_exchange is None:
            raise ValueError(
                f"{it}: dead_letter_routing_key is {self.dead_letter_routing_key!r} without a "
                "dead_letter_exchange; name one ('' is the default exchange), or leave both None"
            )

    def _check_quorum(self, it: str) -> None:
        accepted = {
            "durable": (True,),
            "exclusive": (False,),
            "auto_delete": (False,),
            "max_priority": (None,),
            # The broker takes the third, warns in its log, and drops the oldest message.
            "overflow": (None, "drop-head", "reject-publish"),
        }
        for name, values in accepted.items():
            if (value := getattr(self, name)) not in values:
                choices = " or ".join(repr(each) for each in values)
                raise ValueError(f"{it}: {name} is {value!r}; a quorum queue takes {choices}")
        if not self.name:
            raise ValueError(f"{it}: the name is empty; the broker gives names to classic queues only")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Binding(_Described):
    """A rule that sends messages from an exchange on to a queue, or to another exchange.

    Attributes:
        exchange: name of the exchange that messages come from.
        queue: name of the queue they go to; empty is the topology's queue that the broker names.
        destination_exchange: name of the exchange they go to, in place of a queue.
        routing_key: what the exchange compares with a message's routing key: the same text
            (direct), a pattern (topic), nothing (fanout, headers).
        arguments: the headers to match, and `x-match`, for an exchange of type headers.

    Raises:
        ValueError: there is not exactly one destination, or a name cannot be right.

    Sources: https://www.rabbitmq.com/docs/exchanges, https://www.rabbitmq.com/docs/e2e
    """

    exchange: str
    queue: str | None = None
    destination_exchange: str | None = None
    routing_key: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        it = f"Binding from {self.exchange!r}"
        if (self.queue is None) == (self.destination_exchange is None):
            raise ValueError(f"{it}: set one of queue and destination_exchange, and only one")
        names = {"exchange": self.exchange, "routing_key": self.routing_key}
        if self.queue is None:
            names["destination_exchange"] = self._destination
        else:
            names["queue"] = self.queue
        for name, value in names.items():
            _check_name(it, name, value)
        for name in ("exchange", "destination_exchange"):
            if names.get(name) == "":
                raise ValueError(
                    f"{it}: {name} is '', the default exchange, which takes no bindings; "
                    "it already has each queue, by the queue's name"
                )
        _keep_arguments(it, self)

    @property
    def _destination(self) -> str:
        return (self.destination_exchange if self.queue is None else self.queue) or ""

    def __str__(self) -> str:
        kind = "exchange" if self.queue is None else "queue"
        key = f" with {self.routing_key!r}" if self.routing_key else ""
        return f"binding from exchange {self.exchange!r} to {kind} {self._destination!r}{key}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Topology(_Described):
    """Exchanges, queues, and the bindings between them.

    A notebook shows it as a picture.

    Attributes:
        exchanges: the exchanges to declare; the predefined ones need not be among them.
        queues: the queues to declare; one of them may leave its name to the broker.
        bindings: the bindings, between exchanges and queues named above, or predefined.

    Raises:
        ValueError: two share a name, or a binding names what is not there.

    Source: https://www.rabbitmq.com/tutorials/amqp-concepts
    """

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("exchanges", Exchange), ("queues", Queue), ("bindings", Binding)):
            object.__setattr__(self, name, _tuple_of(kind, name, getattr(self, name)))
        for name in ("exchanges", "queues"):
            names = [each.name for each in getattr(self, name)]
            if twice := sorted({each for each in names if names.count(each) > 1}):
                raise ValueError(f"{name}: {twice[0]!r} is there twice; a name stands for one of them")
        for binding in self.bindings:
            self._check_binding(binding)

    def _check_binding(self, binding: Binding) -> None:
        types = PREDEFINED | {each.name: each.type for each in self.exchanges}
        for name in (binding.exchange, binding.destination_exchange):
            if name is not None and name not in types:
                raise ValueError(
                    f"bindings: the {binding} names the exchange {name!r}, which is not one of exchanges "
                    f"({_names(self.exchanges)}) and not predefined ({', '.join(PREDEFINED)})"
                )
        if binding.queue is not None and binding.queue not in {each.name for each in self.queues}:
            raise ValueError(
                f"bindings: the {binding} names the queue {binding.queue!r}, which is not one of queues "
                f"({_names(self.queues)})"
            )
        if types[binding.exchange] == "headers":
            match = binding.arguments.get("x-match", "all")
            _check_choice(f"bindings: the {binding}", "x-match", match, HEADERS_MATCH)

    def declare(self, where: Where) -> Topology:
        """Declare the exchanges, then the queues, then the bindings.

        What the broker has already is left as it is, so that a second call changes nothing.
        A channel that is given stays open whatever the broker says: another one of the same
        connection does the work. A session that is given is closed by what the broker refuses.

        Args:
            where: a broker of `start_broker`, an AMQP URL, an open channel, or a session.
                Exclusive queues take one of the last two, as they go with the connection that
                declared them.

        Returns:
            The topology as the broker has it: this one, with the name that the broker gave to
            the queue that had none.

        Raises:
            TopologyMismatchError: the broker has an exchange or a queue of that name with other
                settings; names the first field that differs.
            BrokerError: the broker refuses something else, or is gone. This and the error
                before name what was declared until then; it stays.
            ValueError: there is an exclusive queue, and no channel for it.

        Source: https://www.rabbitmq.com/docs/queues (property equivalence)
        """
        exclusive = next((each.name for each in self.queues if each.exclusive), None)
        if exclusive is not None and not isinstance(where, BlockingChannel | Session):
            raise ValueError(
                f"where: Queue {exclusive!r} has exclusive True and would go with the connection that "
                "this call opens and closes; give a channel, or set exclusive False"
            )
        done: list[str] = []
        named: dict[str, str] = {}
        with _calls_to(where) as call:
            for exchange in self.exchanges:
                with _step("declare", exchange, done):
                    call(
                        "exchange_declare",
                        exchange=exchange.name,
                        exchange_type=exchange.type,
                        durable=exchange.durable,
                        auto_delete=exchange.auto_delete,
                        internal=exchange.internal,
                        arguments=_arguments(exchange),
                    )
            for queue in self.queues:
                with _step("declare", queue, done):
                    named[queue.name] = _declare_queue(call, queue)
            bindings = tuple(_with_names(each, named) for each in self.bindings)
            for binding in bindings:
                with _step("declare", binding, done):
                    _bind(call, binding)
        queues = tuple(dataclasses.replace(each, name=named[each.name]) for each in self.queues)
        return dataclasses.replace(self, queues=queues, bindings=bindings)

    def delete(self, where: Where) -> None:
        """Delete what the topology names, and nothing else. Safe to call twice.

        Queues go with the messages in them, and whether or not they have consumers. A queue
        whose name was left to the broker is deleted by the topology that `declare` returned.

        Args:
            where: a broker of `start_broker`, an AMQP URL, an open channel, or a session.

        Raises:
            BrokerError: the broker refuses, or is gone; names what was deleted until then.

        Source: https://www.rabbitmq.com/docs/queues
        """
        done: list[str] = []
        with _calls_to(where) as call:
            # All other bindings go with the exchanges and queues they belong to.
            for binding in self.bindings:
                if binding.exchange in PREDEFINED and binding.destination_exchange in PREDEFINED:
                    with _step("delete", binding, done):
                        call(
                            "exchange_unbind",
                            destination=binding.destination_exchange,
                            source=binding.exchange,
                            routing_key=binding.routing_key,
                            arguments=dict(binding.arguments),
                        )
            for queue in self.queues:
                if queue.name:
                    with _step("delete", queue, done):
                        call("queue_delete", queue=queue.name)
            for exchange in self.exchanges:
                with _step("delete", exchange, done):
                    call("exchange_delete", exchange=exchange.name)

    def text(self) -> str:
        """Draw the topology as lines of text, the same for the same topology."""
        return _diagram.text(self._graph())

    def mermaid(self) -> str:
        """Draw the topology as a flowchart in Mermaid's language, for a Markdown cell or a page.

        Source: https://mermaid.js.org/syntax/flowchart.html
        """
        return _diagram.mermaid(self._graph())

    def svg(self) -> str:
        """Draw the topology as an SVG picture, the same for the same topology."""
        return _diagram.svg(self._graph())

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # No text/vnd.mermaid: JupyterLab prefers it, and then puts what Mermaid drew in the place
        # of our SVG, different each time, into the notebook that is saved.
        return {"image/svg+xml": self.svg(), "text/plain": self.text()}

    def _graph(self) -> _diagram.Graph:
        """Turn what is named here, or only referred to, into nodes and edges."""
        graph = _diagram.Graph()
        for exchange in self.exchanges:
            graph.add("exchange", exchange.name, _settings(exchange))
        for queue in self.queues:
            graph.add("queue", queue.name, _settings(queue))
        for binding in self.bindings:
            destination = ("exchange" if binding.queue is None else "queue", binding._destination)
            label = ", ".join(filter(None, [binding.routing_key, _headers(binding.arguments)]))
            graph.link(("exchange", binding.exchange), destination, label, "binding")
        for queue in self.queues:
            if queue.dead_letter_exchange is not None:
                target = _dead_letter_target(queue, {each.name for each in self.queues})
                key = queue.dead_letter_routing_key if target[0] == "exchange" else None
                label = "dead letter" + (f", {key}" if key else "")
                graph.link(("queue", queue.name), target, label, "dead letter")
        for exchange in self.exchanges:
            if exchange.alternate_exchange is not None:
                target = ("exchange", exchange.alternate_exchange)
                graph.link(("exchange", exchange.name), target, "unroutable", "alternate")
        internal = {each.name for each in self.exchanges if each.internal}
        graph.add_publishers({("exchange", name) for name in internal})
        return graph


def _declare_queue(call: Call, queue: Queue) -> str:
    """Declare a queue, and return the name that it has on the broker."""
    answer = call(
        "queue_declare",
        queue=queue.name,
        # The broker refuses a declaration by a name of its own making, even the same one.
        passive=queue.name.startswith(GENERATED),
        durable=queue.durable,
        exclusive=queue.exclusive,
        auto_delete=queue.auto_delete,
        arguments=_arguments(queue),
    )
    return str(answer.queue)


def _bind(call: Call, binding: Binding) -> None:
    how = {"routing_key": binding.routing_key, "arguments": dict(binding.arguments)}
    if binding.queue is None:
        call("exchange_bind", destination=binding.destination_exchange, source=binding.exchange, **how)
    else:
        call("queue_bind", queue=binding.queue, exchange=binding.exchange, **how)


def _with_names(binding: Binding, named: Mapping[str, str]) -> Binding:
    if binding.queue is None:
        return binding
    return dataclasses.replace(binding, queue=named[binding.queue])


@contextlib.contextmanager
def _calls_to(where: Where) -> Iterator[Call]:
    """Give what calls the methods of a channel by name, and returns the broker's answers."""
    if isinstance(where, Session):
        yield lambda method, **arguments: where.call(getattr(where.channel, method), **arguments)
        return
    with _channel_of(where) as channel:
        yield lambda method, **arguments: getattr(channel, method)(**arguments).method


@contextlib.contextmanager
def _channel_of(where: Broker | str | BlockingChannel) -> Iterator[BlockingChannel]:
    """Open a channel for us alone: the broker closes it with the first thing that it refuses."""
    if isinstance(where, BlockingChannel):
        try:
            channel = where.connection.channel()
        except amqp_errors.AMQPError as error:
            raise BrokerError(
                f"The channel's connection is gone ({error!r}). Next: open a new one"
            ) from error
        try:
            yield channel
        finally:
            _close(channel)
        return
    connection = connect(where, name="rmqlab-topology")
    try:
        yield connection.channel()
    finally:
        _close(connection)


def _close(thing: BlockingChannel | pika.BlockingConnection) -> None:
    if thing.is_open:
        with contextlib.suppress(amqp_errors.AMQPError):
            thing.close()


@contextlib.contextmanager
def _step(verb: Literal["declare", "delete"], what: _Described, done: list[str]) -> Iterator[None]:
    """Turn the broker's refusal into an error that tells what, why, and what was done before."""
    it = _called(what)
    try:
        yield
    except (amqp_errors.ChannelClosedByBroker, ChannelClosedError) as error:
        before = f"; {verb}d before it: {', '.join(done)}" if done else f"; nothing was {verb}d before it"
        mismatch = _mismatch(what, it, error, before) if verb == "declare" else None
        if mismatch:
            raise mismatch from error
        raise BrokerError(
            f"The broker refuses to {verb} the {it} ({error.reply_text}){before}. "
            "Next: see that the user may do so, and that what it refers to is there"
        ) from error
    except amqp_errors.AMQPError as error:
        before = f"; {verb}d before it: {', '.join(done)}" if done else ""
        raise BrokerError(
            f"The broker was lost while the {it} was being {verb}d ({error!r}){before}. "
            "Next: see that the broker runs, and call this again"
        ) from error
    done.append(it)


def _called(what: _Described) -> str:
    if isinstance(what, Exchange | Queue):
        return f"{type(what).__name__.lower()} {what.name!r}"
    return str(what)


def _mismatch(what: _Described, it: str, error: Refusal, before: str) -> TopologyMismatchError | None:
    """Read from the broker's words which setting differs; None if they are about something else."""
    advice = "Next: delete it, or describe it as the broker has it"
    if isinstance(what, Queue) and error.reply_code == 405:  # noqa: PLR2004 # resource-locked
        has = "True" if not what.exclusive else "False, or True for another connection"
        return TopologyMismatchError(
            f"The {it} has exclusive {has} on the broker, and not {what.exclusive}{before}. {advice}",
            name=what.name,
            field="exclusive",
            wanted=what.exclusive,
            found=True if not what.exclusive else None,
        )
    read = INEQUIVALENT.search(error.reply_text or "")
    if read is None or not isinstance(what, Exchange | Queue):
        return None
    argument = read["argument"]
    name = ARGUMENTS.get(argument, argument)
    known = name in {each.name for each in dataclasses.fields(what)}
    wanted = getattr(what, name) if known else what.arguments.get(argument)
    found = read["found"]
    if found is None or (found.endswith("...") and len(error.reply_text.encode()) >= MAX_NAME_BYTES):
        found_value, found_text = None, f"another {name} on the broker than {wanted!r}"
    else:
        found_value = _read(found, name, wanted)
        found_text = f"{name} {found_value!r} on the broker, and not {wanted!r}"
    return TopologyMismatchError(
        f"The {it} has {found_text}{before}. {advice}",
        name=what.name,
        field=name,
        wanted=wanted,
        found=found_value,
    )


def _read(text: str, name: str, wanted: object) -> object:
    """Read a value as the broker writes it: `none`, `'5'`, or with its AMQP type."""
    if text == "none":
        return {"type": "classic", "single_active_consumer": False}.get(name)
    typed = TYPED_VALUE.fullmatch(text)
    value = typed[1] if typed else text.removeprefix("'").removesuffix("'")
    is_flag = isinstance(wanted, bool) or (typed is not None and text.endswith("'bool'"))
    if is_flag and value in ("true", "false"):
        return value == "true"
    is_number = name in LIMITS or isinstance(wanted, int)
    return int(value) if is_number and re.fullmatch(r"-?\d+", value) else value


def _arguments(what: Exchange | Queue) -> dict[str, object]:
    """Give the arguments of a declaration: the named fields, and the rest."""
    if isinstance(what, Exchange):
        names = {"alternate-exchange"}
    else:
        names = ARGUMENTS.keys() - {"alternate-exchange"}
    named = {key: getattr(what, ARGUMENTS[key]) for key in sorted(names)}
    # False is left out: to the broker, an argument that is False is not one that is absent.
    return {key: value for key, value in named.items() if value is not None and value is not False} | dict(
        what.arguments
    )


def _given(what: object) -> list[tuple[str, object]]:
    """List the fields that have another value than their default."""
    assert dataclasses.is_dataclass(what)
    pairs = ((each, getattr(what, each.name)) for each in dataclasses.fields(what))
    return [(each.name, value) for each, value in pairs if value not in (each.default, {})]


def _settings(what: Exchange | Queue) -> tuple[str, ...]:
    """Say in short lines what sort of exchange or queue it is, for the drawing."""
    words = {
        "durable": "transient",  # shown when it is not the default
        "exclusive": "exclusive",
        "auto_delete": "auto-delete",
        "internal": "internal",
        "single_active_consumer": "single active consumer",
    }
    drawn = {"name", "type", "dead_letter_exchange", "dead_letter_routing_key", "alternate_exchange"}
    kind: list[str] = [what.type]
    lines: list[str] = []
    for name, value in _given(what):
        if name == "arguments":
            lines += [f"{key} {each}" for key, each in sorted(what.arguments.items())]
        elif name in words:
            kind.append(words[name])
        elif name not in drawn:
            lines.append(f"{name} {value}")
    return (", ".join(kind), *lines)


def _headers(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(arguments.items()))


def _dead_letter_target(queue: Queue, queues: set[str]) -> tuple[str, str]:
    """Find where dead letters go: the default exchange hands them straight to a queue."""
    key = queue.dead_letter_routing_key
    if queue.dead_letter_exchange == "" and key in queues:
        return "queue", key or ""
    return "exchange", queue.dead_letter_exchange or ""


def _names(things: Iterable[Exchange | Queue]) -> str:
    return ", ".join(repr(each.name) for each in things) or "there are none"


def _tuple_of(kind: type[object], name: str, things: Iterable[object]) -> tuple[object, ...]:
    things = tuple(things)
    for each in things:
        if not isinstance(each, kind):
            raise ValueError(f"{name}: {each!r} is no {kind.__name__}; {name} holds nothing else")
    return things


def _check_name(it: str, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{it}: {name} is {value!r}; it is a text")
    if len(value.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"{it}: {name} has {len(value.encode())} bytes; up to {MAX_NAME_BYTES} are accepted")
    if "\n" in value or "\r" in value:
        # RabbitMQ takes them out of names, and pika waits for ever for the name it asked for.
        raise ValueError(f"{it}: {name} is {value!r}; it goes on one line")


def _check_choice(it: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{it}: {name} is {value!r}; it is one of {', '.join(map(repr, choices))}")


def _check_flags(it: str, what: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(what, name), bool):
            raise ValueError(f"{it}: {name} is {getattr(what, name)!r}; it is True or False")


def _check_number(it: str, name: str, value: object, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{it}: {name} is {value!r}; it is a whole number from {low} to {high}, or None")


def _keep_arguments(it: str, what: Exchange | Queue | Binding) -> None:
    """Keep a copy of the arguments, once it is sure that they can be sent."""
    arguments = dict(what.arguments)
    if not isinstance(what, Binding):
        own = (
            {"alternate-exchange"}
            if isinstance(what, Exchange)
            else ARGUMENTS.keys() - {"alternate-exchange"}
        )
        for key in arguments:
            if key in own:
                raise ValueError(
                    f"{it}: arguments has {key!r}, which is the field {ARGUMENTS[key]}; set that"
                )
    try:
        pika.data.encode_table([], arguments)
    except (
        amqp_errors.UnsupportedAMQPFieldException,
        amqp_errors.ShortStringTooLong,
        AttributeError,
    ) as error:
        raise ValueError(
            f"{it}: arguments is {arguments!r}; keys are short texts, and values what AMQP has: texts, "
            "numbers, bools, dates, lists and dictionaries of those"
        ) from error
    object.__setattr__(what, "arguments", arguments)
