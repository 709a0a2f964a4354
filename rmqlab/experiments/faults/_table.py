"""Trials as a tidy frame, and what they come to."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from rmqlab.broker import Broker
from rmqlab.experiments.faults._clients import CLIENTS
from rmqlab.experiments.faults._kinds import FAULTS
from rmqlab.experiments.faults._trial import Trial
from rmqlab.measure import provenance

if TYPE_CHECKING:
    import pandas as pd

CELL = ["fault", "client"]
COUNTS = ("lost_confirmed", "duplicated", "republished", "unconfirmed", "hung")
TIMES = ("outage_s", "recover_publish_s", "recover_consume_s")


def environment(broker: Broker) -> dict[str, str | int]:
    """Tell where and when trials run: columns of the frame that are the same in each row."""
    return {
        **provenance(broker),
        "source": broker.source,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def to_frame(trials: Iterable[Trial], facts: Mapping[str, str | int]) -> pd.DataFrame:
    """Put trials into a tidy frame.

    Args:
        trials: from `run_matrix`.
        facts: more columns, from `environment`.

    Returns:
        One row a trial, by fault, client, queue_type and repeat: the attributes of `Trial`,
        version (of the client's library), and where it ran: rabbitmq, pika, python, cores,
        source, date.
    """
    import pandas as pd

    rows = [asdict(trial) for trial in trials]
    frame = pd.DataFrame(rows, columns=list(Trial.__dataclass_fields__))
    frame["version"] = frame["client"].map({name: each.library.version for name, each in CLIENTS.items()})
    return _in_order(frame, [*CELL, "queue_type", "repeat"]).round(dict.fromkeys(TIMES, 3)).assign(**facts)


def summarize(frame: pd.DataFrame) -> pd.DataFrame:
    """Show what trials come to, for each fault and client over types of queues and repeats.

    Args:
        frame: from `to_frame`.

    Returns:
        One row a fault and client: fault, client, trials (how many), lost_confirmed, duplicated,
        republished, unconfirmed, hung (sums), outage_s, recover_publish_s, recover_consume_s
        (medians), recover_publish_s_high, recover_consume_s_high (highest).
    """
    groups = frame.groupby(CELL, sort=False)
    summary = groups.agg(
        trials=("repeat", "size"),
        **{name: (name, "sum") for name in COUNTS},
        **{name: (name, "median") for name in TIMES},
        **{f"{name}_high": (name, "max") for name in TIMES[1:]},
    )
    return _in_order(summary.reset_index(), CELL)


def _in_order(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sort by what faults and clients are defined in, not by their names."""
    places = {name: place for place, name in enumerate([*FAULTS, *CLIENTS])}
    return frame.sort_values(
        keys, key=lambda column: column.map(lambda value: places.get(value, value)), ignore_index=True
    )
