"""What faults cost, by client: time to recover, and messages that were repeated or lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rmqlab.figures import COLORS, MARKERS, new_figure

ROW_IN, MARGIN_IN = 0.42, 1.5
SPREAD = 0.6  # of the height of a row, for its clients
SHORTEST_S = 0.01  # what is drawn of times that are shorter still


def plot_faults(trials: pd.DataFrame) -> Figure:
    """Draw how long clients took to recover, and what they repeated and lost.

    Args:
        trials: one row a trial, from `break_everything`: fault, client, lost_confirmed,
            gone_with_queue, duplicated, recover_publish_s, recover_consume_s.

    Returns:
        A figure with two axes, a row a fault and a color and marker a client in each: on the left
        the time until the client publishes and consumes again, as the median and up to the longest;
        on the right messages a trial that came twice, and, crossed, that were lost.
    """
    trials = trials.assign(
        recover_s=trials[["recover_publish_s", "recover_consume_s"]].max(axis=1).clip(SHORTEST_S),
        lost=trials["lost_confirmed"] + trials["gone_with_queue"],
    )
    faults, clients = list(trials["fault"].unique()), list(trials["client"].unique())
    offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(clients)) if len(clients) > 1 else [0.0]
    with new_figure(1, 2, height_in=MARGIN_IN + ROW_IN * len(faults)) as (figure, (times, counts)):
        for number, (client, offset) in enumerate(zip(clients, offsets, strict=True)):
            color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
            by_fault = trials[trials["client"] == client].groupby("fault", sort=False)
            rows = np.array([faults.index(name) for name in by_fault.groups]) + offset
            median_s, longest_s = by_fault["recover_s"].median(), by_fault["recover_s"].max()
            times.hlines(rows, median_s, longest_s, color=color, lw=1)
            times.plot(median_s, rows, marker, color=color, ms=5, label=client)
            for name, mark in (("duplicated", marker), ("lost", "x")):
                mean = by_fault[name].mean()
                seen = (mean > 0).to_numpy()
                counts.plot(mean[seen], rows[seen], mark, color=color, ms=5)
        times.set(xscale="log", xlim=(SHORTEST_S * 0.8, max(1.0, trials["recover_s"].max()) * 1.3))
        times.set(xlabel="time to recover (s)")
        most = float(trials.groupby(["fault", "client"])[["duplicated", "lost"]].mean().to_numpy().max())
        counts.set(xscale="symlog", xlim=(0, max(2.0, most) * 1.5))
        counts.set(xlabel="messages a trial: twice, or lost (x)")
        for axes in (times, counts):
            axes.set(ylim=(len(faults) - 0.5, -0.5))
            axes.set_yticks(range(len(faults)), faults if axes is times else [])
            axes.xaxis.set_major_formatter("{x:g}")
        missing = int(trials["recover_s"].isna().sum())
        slowest = f"All recover within {trials['recover_s'].max():.1f} s"
        times.set_title(f"{missing} of {len(trials)} do not recover" if missing else slowest)
        lost, gone = int(trials["lost_confirmed"].sum()), int(trials["gone_with_queue"].sum())
        counts.set_title(f"{lost} lost{f'; {gone} gone with a queue' if gone else ''}")
        figure.legend(loc="outside lower center", ncols=len(clients))
    return figure
