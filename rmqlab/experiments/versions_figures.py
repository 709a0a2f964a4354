"""What differs between versions, as a table that is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rmqlab.figures import COLORS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ROW_IN, MARGIN_IN = 0.3, 0.6


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
        axes.set(xlim=(-0.5, len(table.columns) - 0.5), ylim=(len(table) - 0.5, -0.5))
        axes.set_xticks(range(len(table.columns)), [str(each) for each in table.columns])
        axes.set_yticks(range(len(table)), list(table.index))
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        differ = int((table.nunique(axis=1) > 1).sum())
        axes.set_title(f"{differ} of {len(table)} behaviors differ")
    return figure
