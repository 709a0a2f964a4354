"""The reference runs of the lessons: what was measured at another time, to lay one's own numbers beside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from rmqlab.broker import Broker
from rmqlab.course import DATA
from rmqlab.errors import DataError
from rmqlab.measure._report import provenance

FOLDER = DATA / "reference"
KEEP_SETTING = "RMQLAB_KEEP_REFERENCE"
PROVENANCE = ("rabbitmq", "pika", "python", "cores")


def compare_to_reference(
    frame: pd.DataFrame,
    name: str,
    *,
    by: str | Sequence[str],
    values: str | Sequence[str],
    broker: Broker | None = None,
) -> pd.DataFrame:
    """Lay numbers beside those of the reference run that the repository stores.

    With `RMQLAB_KEEP_REFERENCE=1` in the environment, as `make reference` sets it, the numbers become the
    next reference run, after they were compared with the earlier one.

    Args:
        frame: one row a run, or whatever was measured.
        name: name of the reference run: `06_prefetch` is stored in `data/reference/06_prefetch.csv`.
        by: the column, or columns, that say which row is which.
        values: the column, or columns, of what was measured.
        broker: what it was measured with, if the frame has no column `rabbitmq`.

    Returns:
        One row a row of the frame: the columns `by`, and for each of `values` the column itself and
        that of the reference run as `…_reference`, NaN where there is none. Numbers are rounded to
        three digits, whole ones are not.

    Raises:
        ValueError: several rows of a new reference run have the same `by`.
        KeyError: there is no such column.
        DataError: the stored reference run cannot be read.
    """
    by = [by] if isinstance(by, str) else list(by)
    values = [values] if isinstance(values, str) else list(values)
    path = FOLDER / f"{name}.csv"
    earlier = read_reference(name) if path.exists() else pd.DataFrame()
    if not set(by) <= set(earlier):
        earlier = pd.DataFrame(columns=by, dtype=float)
    earlier = earlier.reindex(columns=[*by, *values]).astype(frame[by].dtypes)
    compared = frame[[*by, *values]].merge(earlier, "left", by, suffixes=("", "_reference"))
    for value in frame[values].select_dtypes("float"):
        for column in (value, f"{value}_reference"):
            compared[column] = compared[column].map(lambda number: float(f"{number:.3g}"))
    if os.environ.get(KEEP_SETTING) == "1":
        if frame.duplicated(by).any():
            raise ValueError(f"{', '.join(by)} do not tell all rows apart; a reference run has one of each")
        _keep(frame, path, [*by, *values], broker)
    return compared[[*by, *(column for value in values for column in (value, f"{value}_reference"))]]


def read_reference(name: str) -> pd.DataFrame:
    """Return a reference run that the repository stores, as it was measured.

    Args:
        name: name of the run, such as `bench`, which is stored in `data/reference/bench.csv`.

    Raises:
        DataError: there is no such run, or it cannot be read.
    """
    path = FOLDER / f"{name}.csv"
    try:
        # Nothing but an empty cell is missing: a strategy may be called "none".
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"The reference run {path.name} cannot be read ({error}). "
            "Next: get the file from the repository again"
        ) from error


def _keep(frame: pd.DataFrame, path: Path, columns: list[str], broker: Broker | None) -> None:
    """Make a frame the reference run."""
    here = provenance(broker)
    origin = {name: frame.get(name, here.get(name)) for name in PROVENANCE if name not in columns}
    kept = frame[columns].assign(**origin, measured=datetime.now(UTC).date().isoformat())
    kept.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
