"""Figures of the bench: for each variant a dot, the median, on a line from worst to best."""

from __future__ import annotations

import io
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rmqlab.experiments.clients._model import Suite
from rmqlab.experiments.clients._tables import TIMES, finding, times

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = str(files("rmqlab") / "rmqlab.mplstyle")
# Colors of Okabe and Ito, as in `rmqlab.figures`; each library has a marker of its own as well.
LOOKS = {
    "rmqlab": ("#0072B2", "o"),
    "pika": ("#D55E00", "s"),
    "aio-pika": ("#009E73", "D"),
    "py-amqp": ("#CC79A7", "^"),
    "amqpstorm": ("#E69F00", "v"),
}
OTHER = ("0.45", "P")
ROW_IN = 0.3
FRAME_IN = 1.2
LOG_FROM = 8  # times between the slowest and the fastest
MANY_TIMES = 100  # from here on, powers of ten are marks enough
LABEL_ROOM = 0.3  # of the axes' width, for the labels on the right of the dots


def plot_rates(summary: pd.DataFrame, suite: Suite) -> Figure:
    """Draw the rates of a suite's variants, group by group.

    Args:
        summary: from `summarize`, the rows of this suite.
        suite: the suite.

    Returns:
        A figure that is not pyplot's any more.
    """
    places, headings = _places(summary)
    rows = len(places) + len(headings)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(9.5, FRAME_IN + ROW_IN * rows))
        try:
            for place, row in zip(places, summary.itertuples(), strict=True):
                _draw(axes, place, row)
            _scale(axes, summary)
            for place, text in headings:
                axes.text(
                    0.004, place, text, transform=axes.get_yaxis_transform(), weight="bold", va="center"
                )
            axes.set_yticks(places, list(summary["variant"]))
            axes.set_ylim(max(places) + 0.7, -0.7)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.set_xlabel(
                "messages a second: median, and slowest to fastest round\n"
                f"{TIMES}: ratio to {suite.baseline}, in the same round"
            )
            figure.suptitle(finding(summary, suite), x=0.01, ha="left", weight="bold", size=12)
        finally:
            plt.close(figure)
    return figure


def to_svg(figure: Figure) -> str:
    """Give a figure as SVG, the same for the same figure."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "rmqlab", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _places(summary: pd.DataFrame) -> tuple[list[int], list[tuple[int, str]]]:
    """Give each row a place from the top, and each group a place for its heading."""
    places: list[int] = []
    headings: list[tuple[int, str]] = []
    group = ""
    place = 0
    for each in summary["group"]:
        if each != group:
            headings.append((place, each))
            group, place = each, place + 1
        places.append(place)
        place += 1
    return places, headings


def _draw(axes: Axes, place: int, row: Any) -> None:
    color, marker = LOOKS.get(row.library, OTHER)
    axes.hlines(place, row.rate_msg_s_low, row.rate_msg_s_high, color=color, linewidth=3, alpha=0.45)
    axes.plot(row.rate_msg_s, place, marker, color=color)
    text = f"{row.rate_msg_s:,.0f}"
    if row.ratio == row.ratio:  # not for a group whose baseline did not run
        text += f"   {TIMES} {times(row.ratio)}"
    label = axes.annotate(
        text, (row.rate_msg_s_high, place), (8, 0), textcoords="offset points", va="center", color=color
    )
    label.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _scale(axes: Axes, summary: pd.DataFrame) -> None:
    low, high = summary["rate_msg_s_low"].min(), summary["rate_msg_s_high"].max()
    if high / low >= LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.5, high * (high / low) ** LABEL_ROOM)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > MANY_TIMES else (1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, high * (1 + LABEL_ROOM))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
