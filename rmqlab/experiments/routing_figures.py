"""Where the tasks of a workload are after they were routed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, MEASURED, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def plot_routes(rows: pd.DataFrame) -> Figure:
    """Draw where the messages of a run are: returned, in a queue, or lost.

    Args:
        rows: one row, from `route_workload`.
    """
    counts = rows.drop(columns=["published", "confirmed"]).iloc[0]
    with new_figure(1, 1) as (figure, (axes,)):
        colors = [COLORS[1] if name == "lost" else MEASURED for name in counts.index]
        axes.bar_label(axes.barh(counts.index, counts, color=colors, height=0.55), padding=4)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="messages", xlim=(0, counts.max() * 1.1 + 1))
        axes.set_title(f"{counts['lost']:,} of {rows['published'].iloc[0]:,} messages are lost")
    return figure
