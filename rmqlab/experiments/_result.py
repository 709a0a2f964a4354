"""What every experiment returns: rows to look at, a figure, and where it was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from rmqlab.errors import LedgerError
from rmqlab.measure import Ledger
from rmqlab.view import Replay, Scene, replay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """What an experiment found.

    Attributes:
        rows: one row an observation, units in the names of the columns.
        draw: makes the experiment's figure of these rows; None where it has none.
        provenance: where it was measured: rabbitmq, pika, python, cores and so on, by name.
        details: further frames, by name, such as `tasks` or `depth`.
        figures: further figures, by name: each draws the rows and the details, given this result.
        scenes: the runs whose messages were recorded, by name.
    """

    rows: pd.DataFrame = field(repr=False)
    draw: Callable[..., Figure] | None = field(repr=False)
    provenance: Mapping[str, Any]
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    figures: Mapping[str, Callable[..., Figure]] = field(default_factory=dict, repr=False)
    scenes: Mapping[str, Scene] = field(default_factory=dict, repr=False)

    def __or__(self, other: Result) -> Result:
        """Return this result with the rows, further frames and runs of another one behind its own."""
        details = {
            name: pd.concat([frame, other.details[name]], ignore_index=True)
            for name, frame in self.details.items()
        }
        rows = pd.concat([self.rows, other.rows], ignore_index=True)
        return replace(self, rows=rows, details=details, scenes={**self.scenes, **other.scenes})

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """What happened to each message, by the run's name."""
        return {name: scene.ledger for name, scene in self.scenes.items()}

    def frame(self, name: str = "") -> pd.DataFrame:
        """Return the rows with where they were measured in columns behind them, or a further frame.

        Raises:
            KeyError: there is no further frame of this name; says which there are.
        """
        if not name:
            return self.rows.assign(**self.provenance)
        return _named(self.details, name, "frame")

    def plot(self, name: str = "", **options: Any) -> Figure:
        """Return the experiment's figure, or a further one; options go to what draws it.

        Raises:
            KeyError: there is no further figure of this name; says which there are.
        """
        if self.draw and not name:
            return self.draw(self.rows, **options)
        return _named(self.figures, name, "figure")(self, **options)

    def replay(self, name: str = "") -> Replay:
        """Return what happened to the messages of a run, to be looked at again; of the first one by default.

        Raises:
            KeyError: there is no recorded run of this name; says which there are.
            LedgerError: the experiment records no messages.
        """
        if not self.scenes:
            raise LedgerError(
                "This experiment records no messages, so there is nothing to replay. "
                "Next: replay one that does, such as run_workload"
            )
        return replay(_named(self.scenes, name or next(iter(self.scenes)), "recorded run"))


def _named(found: Mapping[str, T], name: str, what: str) -> T:
    if name not in found:
        raise KeyError(f"There is no {what} {name!r}. Next: name one of {', '.join(found) or 'none'}")
    return found[name]
