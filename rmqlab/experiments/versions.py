"""What differs between versions of RabbitMQ: each behavior tried on a broker, in plain pika."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPChannelError, AMQPConnectionError, AMQPError

from rmqlab.broker import OwnBroker
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.figures import COLORS, name_rows, new_figure
from rmqlab.measure import provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUEUE = "rmqlab:versions"
EXCHANGE = "rmqlab:versions:transient"
PERSISTENT = pika.BasicProperties(delivery_mode=2)
MIB = 2**20
WITHOUT_END = 100  # deliveries of a message that is given back again and again
ACK_TIMEOUT_S = 5  # the broker's, for as long as it is tried

ROW_IN, MARGIN_IN = 0.3, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsConfig(Config):
    """What is tried.

    Attributes:
        slow: True tries what needs a restart or a timeout, too.
    """

    FULL: ClassVar[Mapping[str, Any]] = {"slow": True}

    slow: bool = False


def observe_versions(broker: OwnBroker, config: VersionsConfig | None = None) -> Result:
    """Try each behavior that is known to differ between versions, and say what was seen.

    Args:
        broker: a broker of one's own: it is restarted, and its settings are changed for a while.
        config: what is tried; `VersionsConfig.quick()` if None.

    Returns:
        One row a behavior: behavior, observed (in a few words). The provenance has the version.

    Raises:
        BrokerError: the broker does not come back after a restart.
    """
    config = config or VersionsConfig.quick()
    rows = [
        {"behavior": name, "observed": observe(broker)}
        for name, observe in ({**QUICK, **SLOW} if config.slow else QUICK).items()
    ]
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Result(
        pd.DataFrame(rows), plot_versions, {**provenance(broker), "source": broker.source, "date": date}
    )


@contextlib.contextmanager
def _channel(broker: OwnBroker) -> Iterator[BlockingChannel]:
    """Open a channel with confirms; what the broker closes before the end is closed already."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        with contextlib.suppress(AMQPError):  # lost, or closed by the broker
            connection.close()


@contextlib.contextmanager
def _queue(broker: OwnBroker, kind: str) -> Iterator[BlockingChannel]:
    """Declare a durable queue of this type, which is deleted at the end."""
    try:
        with _channel(broker) as channel:
            channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": kind})
            yield channel
    finally:
        with _channel(broker) as channel:
            channel.queue_delete(QUEUE)


def _answer(broker: OwnBroker, call: Callable[[BlockingChannel], object], *, kind: str = "") -> str:
    """Return `refused` if the broker closes the channel, or the connection, over a call."""
    try:
        with _queue(broker, kind) if kind else _channel(broker) as channel:
            call(channel)
    except (AMQPChannelError, AMQPConnectionError):
        return "refused"
    return "accepted"


def _give_back(broker: OwnBroker, kind: str, method_name: str) -> str:
    """Give a message back again and again, and count its deliveries."""
    with _queue(broker, kind) as channel:
        channel.basic_publish("", QUEUE, b"poison", PERSISTENT)
        count = 0
        for method, _, _ in channel.consume(QUEUE, inactivity_timeout=1):
            if method is None or count == WITHOUT_END:
                break
            count += 1
            getattr(channel, method_name)(method.delivery_tag, requeue=True)
    return "without end" if count == WITHOUT_END else f"gone after {count} deliveries"


def _place_of_requeued(broker: OwnBroker) -> str:
    with _queue(broker, "quorum") as channel:
        for body in (b"a", b"b", b"c"):
            channel.basic_publish("", QUEUE, body, PERSISTENT)
        channel.basic_reject(channel.basic_get(QUEUE)[0].delivery_tag, requeue=True)
        broker.wait_for_queue(QUEUE, ready=3)
        order = b"".join(channel.basic_get(QUEUE, auto_ack=True)[2] for _ in range(3))
    return {b"abc": "at the head", b"bca": "at the end"}.get(order, "elsewhere")


def _priorities(broker: OwnBroker) -> str:
    """Publish messages of priority 0, then 1, then 5, and say which come first."""
    with _queue(broker, "quorum") as channel:
        for priority, _ in itertools.product((0, 1, 5), range(6)):
            channel.basic_publish("", QUEUE, str(priority).encode(), pika.BasicProperties(priority=priority))
        taken = [channel.basic_get(QUEUE, auto_ack=True)[2].decode() for _ in range(18)]
    order = "".join(taken)
    if order.startswith("550550550"):
        return "two classes, 2 to 1"
    return {"000000111111555555": "none", "555555111111000000": "strict"}.get(order, f"as {order}")


def _prefetch_without_limit(broker: OwnBroker) -> str:
    with _queue(broker, "quorum") as channel:
        for _ in range(2200):
            channel.basic_publish("", QUEUE, b"", PERSISTENT)
        channel.basic_qos(prefetch_count=0)
        taken = itertools.takewhile(lambda each: each[0], channel.consume(QUEUE, inactivity_timeout=1))
        count = sum(1 for _ in itertools.islice(taken, 2200))
    return "no limit" if count == 2200 else f"{count} at a time"  # noqa: PLR2004


def _publish_large(channel: BlockingChannel) -> None:
    channel.basic_publish("", QUEUE, b"." * 17 * MIB)


def _declare_transient(channel: BlockingChannel) -> None:
    channel.queue_declare(QUEUE, durable=False, exclusive=False)
    channel.queue_delete(QUEUE)


def _consume_with_global_prefetch(channel: BlockingChannel) -> None:
    channel.basic_qos(prefetch_count=1, global_qos=True)
    channel.basic_consume(QUEUE, lambda *_: None)


def _transient_exchange(broker: OwnBroker) -> str:
    """Bind a durable queue to an exchange that is not durable, and restart the broker."""
    with _queue(broker, "classic") as channel:
        channel.exchange_declare(EXCHANGE, "fanout", durable=False)
        channel.queue_bind(QUEUE, EXCHANGE)
        broker.restart()
        if _answer(broker, lambda channel: channel.exchange_declare(EXCHANGE, passive=True)) == "refused":
            return "gone"
        with _channel(broker) as later:
            later.basic_publish(EXCHANGE, "", b"is it bound?")
            bound = later.queue_declare(QUEUE, passive=True).method.message_count
            later.exchange_delete(EXCHANGE)
    return "there, and bound" if bound else "there, not bound"


def _ack_timeout(broker: OwnBroker, kind: str) -> str:
    """Hold a message for longer than the broker's acknowledgement timeout."""
    environment = "application:set_env(rabbit, {}, {})."
    tick = broker.evaluate("application:get_env(rabbit, channel_tick_interval, 60000).").strip()
    broker.evaluate(environment.format("channel_tick_interval", 1000))
    broker.evaluate(environment.format("consumer_timeout", ACK_TIMEOUT_S * 1000))
    try:
        with _queue(broker, kind) as channel:
            channel.basic_publish("", QUEUE, b"held", PERSISTENT)
            channel.basic_consume(QUEUE, lambda *_: None)
            end_s = time.monotonic() + 4 * ACK_TIMEOUT_S
            while channel.is_open and channel.consumer_tags and time.monotonic() < end_s:
                channel.connection.process_data_events(time_limit=0.2)
            if not channel.is_open:
                return "the channel is closed"
            return "nothing happens" if channel.consumer_tags else "the consumer is cancelled"
    finally:
        broker.evaluate(environment.format("consumer_timeout", 1_800_000))
        broker.evaluate(environment.format("channel_tick_interval", tick))


# What tries each behavior, and returns what was seen in a few words, within a second or two.
QUICK: dict[str, Callable[[OwnBroker], str]] = {
    "nack and requeue, classic queue": lambda broker: _give_back(broker, "classic", "basic_nack"),
    "nack and requeue, quorum queue": lambda broker: _give_back(broker, "quorum", "basic_nack"),
    "reject and requeue, quorum queue": lambda broker: _give_back(broker, "quorum", "basic_reject"),
    "place of a requeued message, quorum queue": _place_of_requeued,
    "priorities of a quorum queue": _priorities,
    "a message of 17 MiB": lambda broker: _answer(broker, _publish_large, kind="classic"),
    "a queue neither durable nor exclusive": lambda broker: _answer(broker, _declare_transient),
    "a prefetch for the whole channel, quorum queue": lambda broker: _answer(
        broker, _consume_with_global_prefetch, kind="quorum"
    ),
}
# The same, with a restart or a long wait.
SLOW: dict[str, Callable[[OwnBroker], str]] = {
    "no prefetch limit, quorum queue": _prefetch_without_limit,
    "an exchange that is not durable, after a restart": _transient_exchange,
    "no acknowledgement in time, classic queue": lambda broker: _ack_timeout(broker, "classic"),
    "no acknowledgement in time, quorum queue": lambda broker: _ack_timeout(broker, "quorum"),
}


def plot_versions(rows: pd.DataFrame) -> Figure:
    """Draw behaviors as rows and versions as columns; what is alike has one color in its row.

    Args:
        rows: one row a behavior and version: behavior, observed, and rabbitmq where there are several.
    """
    table = rows.assign(rabbitmq=rows.get("rabbitmq", "observed")).pivot(
        index="behavior", columns="rabbitmq", values="observed"
    )
    table = table.loc[rows["behavior"].unique()]
    with new_figure(1, 1, height_in=MARGIN_IN + ROW_IN * len(table)) as (figure, (axes,)):
        for y, (_, row) in enumerate(table.iterrows()):
            seen = list(dict.fromkeys(row))
            for x, observed in enumerate(row):
                color = COLORS[seen.index(observed)]
                axes.text(x, y, str(observed), ha="center", va="center", color=color, fontsize="small")
        name_rows(axes, list(table.index))
        axes.set_xlim(-0.5, len(table.columns) - 0.5)
        axes.set_xticks(range(len(table.columns)), [str(each) for each in table.columns])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        differ = int((table.nunique(axis=1) > 1).sum())
        axes.set_title(f"{differ} of {len(table)} behaviors differ")
    return figure
