"""What survives a killed broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from rmqlab.figures import COLORS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING, SOME, ALL, REFUSED = COLORS[1], "#F6C9AC", COLORS[0], "0.9"
DARK = 0.5  # light of a color below which white is readable on it


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
        _draw_cells(axes, table.pivot(index="queue", columns="column", values="cell").loc[queues, columns])
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


def _draw_cells(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a frame whose values are pairs of a string and a color."""
    cells = table.to_numpy().tolist()
    colors = np.array([[to_rgb(color) for _, color in row] for row in cells])
    axes.imshow(colors, aspect="auto")
    for row, column in np.ndindex(table.shape):
        is_dark = colors[row, column].mean() < DARK
        text = cells[row][column][0]
        axes.text(column, row, text, ha="center", va="center", color="white" if is_dark else "0.15")
    axes.set_xticks(range(table.shape[1]), list(table.columns))
    axes.set_yticks(range(table.shape[0]), list(table.index))
    # White lines between the cells.
    axes.grid(visible=False)
    axes.set_xticks(np.arange(1, table.shape[1]) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, table.shape[0]) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=4, alpha=1)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
