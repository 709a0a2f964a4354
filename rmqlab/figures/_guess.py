"""A reader's guess, drawn beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patheffects import withStroke

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT = "your guess"
GUESS_COLOR = "black"  # no figure uses it for what was measured
LINE: dict[str, Any] = {"linestyle": (0, (1, 1)), "linewidth": 2.5}
WORDS: dict[str, Any] = {
    "color": GUESS_COLOR,
    "fontweight": "bold",
    "textcoords": "offset points",
    "path_effects": [withStroke(linewidth=3, foreground="white")],
}


def mark_guess(figure: Figure, *, x: float | None = None, y: float | None = None, panel: int = 0) -> Figure:
    """Draw a reader's guess into a figure; a guess that is None leaves the figure as it is.

    Args:
        figure: a figure of an experiment.
        x: the guess, in the unit of the x axis.
        y: the guess, in the unit of the y axis.
        panel: the number of the axes that it belongs to, from 0.

    Returns:
        The same figure.
    """
    axes = figure.axes[panel]
    if x is not None:
        axes.axvline(x, color=GUESS_COLOR, **LINE)
        axes.annotate(TEXT, (x, 0.97), (5, 0), xycoords=axes.get_xaxis_transform(), va="top", **WORDS)
    if y is not None:
        axes.axhline(y, color=GUESS_COLOR, **LINE)
        axes.annotate(TEXT, (0.98, y), (0, 4), xycoords=axes.get_yaxis_transform(), ha="right", **WORDS)
    return figure
