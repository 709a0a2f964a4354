"""What every experiment gives: rows to look at, a figure, and where it was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Result:
    """What an experiment found.

    Attributes:
        rows: one row an observation, units in the names of the columns.
        draw: makes the figure of such rows.
        provenance: where it was measured: rabbitmq, pika, python, cores and so on, by name.
    """

    rows: pd.DataFrame = field(repr=False)
    draw: Callable[[pd.DataFrame], Figure] = field(repr=False)
    provenance: Mapping[str, Any]

    def frame(self) -> pd.DataFrame:
        """Return the rows, with where they were measured in columns behind them."""
        return self.rows.assign(**self.provenance)

    def plot(self) -> Figure:
        """Return the experiment's figure."""
        return self.draw(self.rows)
