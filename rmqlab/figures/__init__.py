"""What figures share: their style and their labels.

A figure is not pyplot's any more when it is returned: a notebook shows it once, as the value of
its cell, and it is freed when nobody holds it.
"""

from rmqlab.figures._guess import mark_guess
from rmqlab.figures._style import COLORS, GREY, MARKERS, MEASURED, label, name_rows, name_ticks, new_figure

__all__ = [
    "COLORS",
    "GREY",
    "MARKERS",
    "MEASURED",
    "label",
    "mark_guess",
    "name_rows",
    "name_ticks",
    "new_figure",
]
