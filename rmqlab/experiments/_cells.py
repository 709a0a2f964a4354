"""A table as a figure: cells with a text and a color."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DARK = 0.5  # light of a color below which white is readable on it


def draw_cells(axes: Axes, table: pd.DataFrame) -> None:
    """Draw a frame whose values are pairs of a text and a color; a long column's name may have lines."""
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
