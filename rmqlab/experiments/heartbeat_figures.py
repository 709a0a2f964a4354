"""When a network that is cut is noticed, by heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, MARKERS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SIDES = {"task_moved_s": "broker: the task moved", "worker_noticed_s": "worker: connection lost"}


def plot_detection(rows: pd.DataFrame) -> Figure:
    """Draw after how long either side noticed the cut; a heartbeat without marks was too long."""
    with new_figure(1, 1) as (figure, (axes,)):
        for place, (column, words) in enumerate(SIDES.items()):
            color, marker = COLORS[place], MARKERS[place]
            axes.plot(rows[column], rows.index, marker, color=color, label=words)
        axes.set(xlabel="after the cut (s)", ylabel="heartbeat (s)", xlim=(0, None))
        axes.set_yticks(rows.index, rows["heartbeat_s"].astype(str))
        axes.set_ylim(-0.5, len(rows) - 0.5)
        noticed = rows[list(SIDES)].notna().all(axis="columns")
        axes.set_title(f"{noticed.sum()} of {len(rows)} heartbeats were short enough to notice the cut")
        figure.legend(loc="outside lower center", ncols=len(SIDES))
    return figure
