"""What a connection for each message costs, against one that stays open, in plain pika."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from timeit import timeit
from typing import Any, ClassVar

import pandas as pd
import pika
from matplotlib.figure import Figure

from rmqlab.broker import Broker
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.experiments.clients.compare import clients_queue
from rmqlab.figures import COLORS, MARKERS, label, name_rows, new_figure
from rmqlab.measure import provenance, summarize_repeats

BODY = b"." * 256
STAYS_OPEN, FOR_EACH = "one connection, which stays open", "a connection for each message"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsConfig(Config):
    """How much is published.

    Attributes:
        messages: how many messages are published in each way and round.
        rounds: how often each way has its turn.
    """

    messages: int = 20
    rounds: int = 5
    FULL: ClassVar = {"messages": 200, "rounds": 9}


def measure_connections(broker: Broker, config: ConnectionsConfig) -> Result:
    """Publish messages with a confirm for each, over one connection and over a new one for each message.

    Args:
        broker: a running broker.
        config: how much is published.

    Returns:
        One row a variant and round: variant, round (from 1), message_ms (the time of one message, in
        milliseconds; opening the connection that stays open is not timed), ratio (of this time to
        that of the open connection in the same round).

    Source: https://www.rabbitmq.com/docs/connections#high-connection-churn
    """
    parameters = pika.URLParameters(broker.url)
    rows = []
    with clients_queue(broker) as queue:
        for number in range(1, config.rounds + 1):
            with _open_channel(parameters) as channel:
                open_s = timeit(partial(_publish, channel, queue), number=config.messages)
            new_s = timeit(partial(_connect_and_publish, parameters, queue), number=config.messages)
            for variant, took_s in ((STAYS_OPEN, open_s), (FOR_EACH, new_s)):
                rows.append((variant, number, took_s * 1000 / config.messages, took_s / open_s))
    frame = pd.DataFrame(rows, columns=["variant", "round", "message_ms", "ratio"])
    return Result(frame, plot_connections, provenance(broker))


@contextlib.contextmanager
def _open_channel(parameters: pika.URLParameters) -> Iterator[Any]:
    with contextlib.closing(pika.BlockingConnection(parameters)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def _publish(channel: Any, queue: str) -> None:
    channel.basic_publish(exchange="", routing_key=queue, body=BODY)


def _connect_and_publish(parameters: pika.URLParameters, queue: str) -> None:
    with _open_channel(parameters) as channel:
        _publish(channel, queue)


def plot_connections(runs: pd.DataFrame) -> Figure:
    """Draw the time of one message: the median of the rounds, and the lowest to the highest."""
    times = summarize_repeats(runs, "variant", ["message_ms"])
    ratio = runs.loc[runs["variant"] == FOR_EACH, "ratio"].median()
    with new_figure(1, 1, height_in=2.0) as (figure, (axes,)):
        for place, row in enumerate(times.to_dict("records")):
            color, marker = COLORS[place], MARKERS[place]
            axes.hlines(place, row["message_ms_low"], row["message_ms_high"], color=color, linewidth=3)
            axes.plot(row["message_ms"], place, marker, color=color)
            text = f"{row['message_ms']:.2g} ms ({row['message_ms_low']:.2g} to {row['message_ms_high']:.2g})"
            label(axes, text, row["message_ms_high"], place, color, offset=(8, -4))
        axes.set(xscale="log", xlim=(times["message_ms_low"].min() / 2, times["message_ms_high"].max() * 8))
        axes.xaxis.set_major_formatter("{x:g}")
        name_rows(axes, list(times["variant"]))
        axes.set_xlabel("time of a message (ms): median, lowest to highest")
        axes.set_title(f"A connection for each message takes {ratio:.2g} times as long")
    return figure
