"""How programs end when their broker is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rmqlab.experiments._cells import draw_cells
from rmqlab.figures import COLORS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADES = {"dies": COLORS[1], "returns": "#F6C9AC", "goes on": COLORS[0]}


def plot_exits(rows: pd.DataFrame) -> Figure:
    """Draw how each program ended: a row for each fault, a column for each program."""
    texts = rows["outcome"] + ("\n" + rows["error"]).where(rows["error"] != "", "")
    cells = rows.assign(cell=pd.Series(zip(texts, rows["outcome"].map(SHADES), strict=True), rows.index))
    table = cells.pivot(index="fault", columns="program", values="cell")
    with new_figure(1, 1) as (figure, (axes,)):
        draw_cells(axes, table.loc[rows["fault"].unique(), rows["program"].unique()])
        axes.set(xlabel="program", ylabel="fault")
        axes.set_title(f"{(rows['outcome'] != 'goes on').sum()} of {len(rows)} programs end")
    return figure
