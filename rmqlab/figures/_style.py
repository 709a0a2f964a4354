"""How all figures look, and what they are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

STYLE = str(Path(__file__).parents[1] / "rmqlab.mplstyle")
# Colors of Okabe and Ito, which people with any color vision can tell apart. By value, as
# matplotlib would look up "C0" only when the figure is drawn, without our style.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
MEASURED = COLORS[0]
GREY = "0.45"


@contextlib.contextmanager
def new_figure(
    rows: int, columns: int, *, height_in: float | None = None, share_x: bool = False
) -> Iterator[tuple[Figure, tuple[Axes, ...]]]:
    """Make a figure in our style, whose axes are given row by row, and take it from pyplot.

    Args:
        rows: how many axes stand below each other.
        columns: how many axes stand side by side.
        height_in: height of the figure, in inches; None is that of the style.
        share_x: whether axes below each other have one x axis, labeled at the bottom.
    """
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(rows, columns, squeeze=False, sharex="col" if share_x else False)
        if height_in is not None:
            figure.set_figheight(height_in)
        try:
            yield figure, tuple(grid.flat)
        finally:
            plt.close(figure)


def label(axes: Axes, text: str, x: float, y: float, color: str, *, offset: tuple[int, int]) -> Annotation:
    """Write a text beside a point, on the side that the offset in points gives."""
    side = "left" if offset[0] > 0 else "right"
    text_box = axes.annotate(text, (x, y), offset, textcoords="offset points", color=color, ha=side)
    text_box.set_path_effects([withStroke(linewidth=3, foreground="white")])  # readable over a line
    return text_box


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, 2 … of an axes, the first one at the top, without lines between them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def name_ticks(axes: Axes, values: Iterable[float], *, scale: str = "log") -> None:
    """Give the x axis a tick at each of these values, and no other."""
    shown = sorted(set(values))
    axes.set_xscale(scale)
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.set_xticks([], minor=True)
