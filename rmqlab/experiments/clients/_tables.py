"""Summaries as text, for the terminal and for the report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rmqlab.experiments.clients._model import Suite

if TYPE_CHECKING:
    import pandas as pd

TIMES = "\N{MULTIPLICATION SIGN}"


def finding(summary: pd.DataFrame, suite: Suite) -> str:
    """State in one line how the variant in focus compares with the baseline.

    Args:
        summary: from `summarize`, the rows of this suite.
        suite: the suite.
    """
    ratios = summary[summary["variant"] == suite.focus]["ratio"].dropna()
    if ratios.empty:
        return suite.title
    low, high = times(ratios.min()), times(ratios.max())
    ratio = low if low == high else f"{low} to {high}"
    return f"{suite.focus}: {ratio} times as fast as {suite.baseline}"


def headings(suite: Suite) -> tuple[str, ...]:
    """Give the headings of `cells`."""
    return (
        "",
        "msg/s",
        "slowest to fastest",
        f"{TIMES} {suite.baseline}",
        "lowest to highest",
        f"{suite.focus}: {TIMES} this",
    )


def cells(row: Any) -> tuple[str, ...]:
    """Give a row of `summarize` as text: name, median rate and its range, ratios."""
    compared = not math.isnan(row.ratio)
    return (
        row.variant,
        f"{row.rate_msg_s:,.0f}",
        f"{row.rate_msg_s_low:,.0f} to {row.rate_msg_s_high:,.0f}",
        times(row.ratio) if compared else "",
        f"{times(row.ratio_low)} to {times(row.ratio_high)}" if compared else "",
        "" if math.isnan(row.focus_ratio) else times(row.focus_ratio),
    )


def times(ratio: float) -> str:
    """Write a ratio with as many digits as can be believed."""
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"  # noqa: PLR2004
