"""Runs of the bench as tidy frames, and what they come to."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rmqlab.broker import Broker
from rmqlab.experiments.clients._model import Suite
from rmqlab.experiments.clients._runner import Result
from rmqlab.measure import provenance, summarize_repeats

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = ("confirms", "prefetch", "ack")
WHO = ["suite", "group", "variant"]
ABOUT = [*WHO, "library", "version", "role", *SETTINGS, "body_bytes", "processes"]


def environment(broker: Broker) -> dict[str, str | int]:
    """Tell where and when the bench runs: columns of the frame that are the same in each row."""
    return {
        **provenance(broker),
        "source": broker.source,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def to_frame(results: Iterable[Result], facts: Mapping[str, str | int]) -> pd.DataFrame:
    """Put runs into a tidy frame.

    Args:
        results: the runs.
        facts: more columns, from `environment`.

    Returns:
        One row a run: suite, group, variant, library, version, role, confirms, prefetch,
        ack, body_bytes, processes, round, count, seconds, rate_msg_s, ratio (of its rate to
        that of its group's baseline in the same round; empty if that did not run), and
        where it ran: rabbitmq, source, pika, python, cores, date.
    """
    import pandas as pd

    rows = [
        {
            "suite": result.suite,
            "group": result.variant.group,
            "variant": result.variant.name,
            "library": result.variant.library.name,
            "version": result.variant.library.version,
            "role": result.variant.role,
            **{name: result.variant.settings.get(name) for name in SETTINGS},
            "body_bytes": result.variant.body_bytes,
            "processes": result.variant.processes,
            "round": result.round,
            "count": result.count,
            "seconds": result.seconds,
            "rate_msg_s": result.count / result.seconds,
            "baseline": result.variant.baseline,
        }
        for result in results
    ]
    frame = pd.DataFrame(rows, columns=[*ABOUT, "round", "count", "seconds", "rate_msg_s", "baseline"])
    frame["prefetch"] = frame["prefetch"].astype("Int64")
    frame["ratio"] = _ratio(frame, frame[frame["baseline"].astype(bool)])
    return frame.drop(columns="baseline").assign(**facts)


def summarize(frame: pd.DataFrame, suites: Iterable[Suite] = ()) -> pd.DataFrame:
    """Show what the rounds come to, the fastest of each group first.

    Args:
        frame: from `to_frame`.
        suites: whose focus the variants are compared with, in `focus_ratio`.

    Returns:
        One row a variant: suite, group, variant, library, version, role, confirms,
        prefetch, ack, body_bytes, processes, count, runs, rate_msg_s (median, and _low and
        _high), ratio (its rate to the baseline's of the same round; median, _low, _high),
        focus_ratio (median of the focus's rate to its rate).
    """
    focus = {suite.name: suite.focus for suite in suites}
    chosen = frame[frame["variant"] == frame["suite"].map(focus)]
    frame = frame.assign(focus_ratio=1 / _ratio(frame, chosen))
    summary = summarize_repeats(frame, WHO, ["rate_msg_s", "ratio", "focus_ratio"])
    about = frame.drop_duplicates(WHO)[[*ABOUT, "count"]]
    summary = about.merge(summary.drop(columns=["focus_ratio_low", "focus_ratio_high"]), on=WHO)
    # Suites and groups in the order that they are defined in, or else that they ran in.
    places = {
        (suite.name, each.group): place
        for suite in suites
        for place, each in reversed(list(enumerate(suite.variants)))
    }
    suite_places = {suite.name: place for place, suite in enumerate(suites)}
    keys = summary[["suite", "group"]].apply(tuple, axis=1)
    return (
        summary.assign(suite_place=summary["suite"].map(suite_places), group_place=keys.map(places))
        .sort_values(
            ["suite_place", "group_place", "rate_msg_s"], ascending=[True, True, False], kind="stable"
        )
        .drop(columns=["suite_place", "group_place"])
        .reset_index(drop=True)
    )


def _ratio(frame: pd.DataFrame, reference: pd.DataFrame) -> pd.Series:
    """Divide each run's rate by that of the reference in its suite, group and round."""
    keys = ["suite", "group", "round"]
    rates = reference.set_index(keys)["rate_msg_s"].rename("reference_msg_s")
    return frame["rate_msg_s"] / frame.join(rates, on=keys)["reference_msg_s"]
