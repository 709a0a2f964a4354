"""What survives a killed broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.experiments._cells import draw_cells
from rmqlab.figures import COLORS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NOTHING, SOME, ALL, REFUSED = COLORS[1], "#F6C9AC", COLORS[0], "0.9"


def plot_durability(rows: pd.DataFrame) -> Figure:
    """Draw what survived: a row for each queue, a column for each message and confirms."""
    table = rows.assign(cell=rows.apply(_cell, axis="columns"))
    table["column"] = table["message"] + "\n" + table["confirms"].replace("none", "no confirms")
    columns, queues = list(table["column"].unique()), list(rows["queue"].unique())
    kept = rows[(rows["lost"] == 0) & (rows["survived"] > 0)]
    title = f"{len(kept)} of {len(rows)} combinations lose nothing"
    if kept["confirms"].nunique() == 1 and "none" not in set(kept["confirms"]):
        title += f", and all of these are {kept['confirms'].iloc[0]}"
    with new_figure(1, 1) as (figure, (axes,)):
        draw_cells(axes, table.pivot(index="queue", columns="column", values="cell").loc[queues, columns])
        axes.set(xlabel="message, and what its publisher knows", ylabel="queue")
        axes.set_title(title)
    return figure


def _cell(row: pd.Series) -> tuple[str, str]:
    """Return what is written in a cell, and its color."""
    if not row["presumed_safe"]:
        return "refused", REFUSED
    survived = f"{row['survived']:,} of {row['presumed_safe']:,}\n"
    if not row["lost"]:
        return survived + "nothing lost", ALL
    return f"{survived}{row['lost']:,} lost", SOME if row["survived"] else NOTHING
