"""Run something once for each combination of parameters, into one frame, and sum up its repeats."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("rmqlab.measure")


def run_grid(
    run: Callable[..., pd.DataFrame | Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]],
    *,
    repeats: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Run something once for each combination of parameters.

    Repeats are interleaved: all cells once, then all of them again, so that a machine that
    grows slower meanwhile disturbs no cell more than the others. A cell that fails is logged
    and does not end the grid.

    Args:
        run: is called with one value of each parameter by name; gives a dict, or a frame of
            one row.
        grid: the values of each parameter, such as `{"workers": [1, 2], "prefetch": [1, 10]}`.
        repeats: how often each combination is run.
        progress: whether to show a progress bar.

    Returns:
        One row a run, in the order of the runs: the parameters, repeat (from 0), what `run`
        gave, and error: what went wrong, or an empty text. What a failed cell would have
        given is missing there. A column of `run`'s that has a parameter's name is left out.

    Raises:
        ValueError: `repeats` is below 1, or a parameter has no values.
    """
    import pandas as pd

    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it goes from 1")
    for name, values in grid.items():
        if not len(values):
            raise ValueError(f"the parameter {name!r} has no values; it needs one at least")
    cells = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    rows = []
    # On standard output, as JupyterLab paints standard error like a warning.
    with tqdm(total=len(cells) * repeats, unit="run", file=sys.stdout, disable=not progress) as bar:
        for repeat, cell in itertools.product(range(repeats), cells):
            bar.set_postfix(cell)
            rows.append({**cell, "repeat": repeat, **_run_cell(run, cell)})
            bar.update()
    frame = pd.DataFrame(rows)
    return frame[[*(name for name in frame.columns if name != "error"), "error"]]


def summarize_repeats(frame: pd.DataFrame, by: str | Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Show, of runs that were repeated, the median and how far the runs were apart.

    Args:
        frame: one row a run, such as `run_grid` gives it.
        by: the column, or columns, that runs have in common if they are repeats.
        values: the columns to summarize; failed runs, which have no value there, are left out,
            and a warning says so.

    Returns:
        One row for each combination of `by`: these, runs (how many had a value of the
        first), failed (how many have an error, where the frame has the column `error`), and
        for each value its median under its own name, and its smallest and largest as
        `…_low` and `…_high`.

    Raises:
        ValueError: there is no such column.
    """
    import pandas as pd

    by = [by] if isinstance(by, str) else list(by)
    if missing := [name for name in (*by, *values) if name not in frame]:
        raise ValueError(
            f"the frame has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}"
        )
    groups = frame.groupby(by, sort=False)
    columns = {"runs": groups[values[0]].count()} if values else {"runs": groups.size()}
    if "error" in frame:
        columns["failed"] = groups["error"].agg(lambda errors: int((errors != "").sum()))
        _warn_of_failures(frame["error"])
    for value in values:
        columns |= {
            value: groups[value].median(),
            f"{value}_low": groups[value].min(),
            f"{value}_high": groups[value].max(),
        }
    return pd.DataFrame(columns).reset_index()


def _run_cell(run: Callable[..., Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    try:
        result = run(**cell)
        row = dict(result) if isinstance(result, Mapping) else _only_row(result)
    except Exception as error:
        logger.warning("the cell %s failed: %s: %s", _words(cell), type(error).__name__, error)
        return {"error": f"{type(error).__name__}: {error}"}
    return {name: value for name, value in row.items() if name not in cell} | {"error": ""}


def _only_row(result: Any) -> dict[str, Any]:
    import pandas as pd

    if not isinstance(result, pd.DataFrame):
        raise TypeError(f"a run gave a {type(result).__name__}; it must give a dict or a frame of one row")
    if len(result) != 1:
        raise ValueError(f"a run gave a frame of {len(result)} rows; it must have one")
    (row,) = result.to_dict("records")
    return {str(name): value for name, value in row.items()}


def _words(cell: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in cell.items())


def _warn_of_failures(errors: pd.Series) -> None:
    failed = errors[errors != ""]
    if len(failed):
        logger.warning(
            "the medians leave out %d of %d runs, which failed (%s). Next: look at the column error",
            len(failed),
            len(errors),
            failed.iloc[0],
        )
