"""Run something once for each combination of parameters, into one frame, and sum up its repeats."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from rmqlab.measure._bar import bar_of

logger = logging.getLogger("rmqlab.measure")


def run_grid(
    run: Callable[..., Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]],
    *,
    repeats: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Run something once for each combination of parameters.

    All cells run once, then all of them again, so that a machine that slows down disturbs all of them
    alike. A cell that fails is logged and does not end the grid.

    Args:
        run: is called with one value of each parameter by name.
        grid: the values of each parameter, such as `{"workers": [1, 2], "prefetch": [1, 10]}`.
        repeats: how often each combination is run.
        progress: whether to show a progress bar.

    Returns:
        One row a run, in the order of the runs: the parameters, repeat (from 0), what `run`
        returned, and error: what went wrong, or an empty string. `summarize_repeats` sums it up.
    """
    cells = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    rows = []
    runs = list(itertools.product(range(repeats), cells))
    with bar_of(runs, "run", progress=progress) as bar:
        for repeat, cell in bar:
            bar.set_postfix(cell)
            rows.append(_run_cell(run, cell) | cell | {"repeat": repeat})
    frame = pd.DataFrame(rows)
    first = [*grid, "repeat"]
    return frame[[*first, *frame.columns.difference([*first, "error"], sort=False), "error"]]


def summarize_repeats(frame: pd.DataFrame, by: str | list[str], values: Sequence[str]) -> pd.DataFrame:
    """Return, of runs that were repeated, the median and the spread.

    Args:
        frame: one row a run, such as `run_grid` returns it.
        by: the column, or columns, that runs have in common if they are repeats.
        values: the columns to summarize; runs without a value there are left out.

    Returns:
        One row for each combination of `by`: these, runs (how many had a value of the first), and for
        each value its median under its own name, its smallest as `…_low` and its largest as `…_high`.

    Raises:
        KeyError: there is no such column.
    """
    ways = {"": "median", "_low": "min", "_high": "max"}
    columns = {f"{value}{end}": (value, way) for value in values for end, way in ways.items()}
    return frame.groupby(by, sort=False).agg(runs=(values[0], "count"), **columns).reset_index()


def _run_cell(run: Callable[..., Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {**run(**cell), "error": ""}
    except Exception as error:
        logger.warning("the cell %s failed: %s: %s", dict(cell), type(error).__name__, error)
        return {"error": f"{type(error).__name__}: {error}"}
