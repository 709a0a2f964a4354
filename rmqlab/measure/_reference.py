"""The reference runs of the lessons: what was measured at another time, to lay one's own numbers beside."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from rmqlab.broker import Broker
from rmqlab.errors import DataError
from rmqlab.measure._report import provenance

FOLDER = Path(__file__).parents[2] / "data" / "reference"
KEEP_SETTING = "RMQLAB_KEEP_REFERENCE"
PROVENANCE = ("rabbitmq", "pika", "python", "cores")

logger = logging.getLogger("rmqlab.measure")


def compare_to_reference(
    frame: pd.DataFrame,
    name: str,
    *,
    by: str | Sequence[str],
    values: str | Sequence[str],
    broker: Broker | None = None,
) -> pd.DataFrame:
    """Lay numbers beside those of the reference run that the repository stores.

    With `RMQLAB_KEEP_REFERENCE=1` in the environment, the numbers become the next reference run,
    after they were compared with the earlier one: that is what `make reference` does.

    Args:
        frame: one row a run, or whatever was measured.
        name: name of the reference run, such as `05_prefetch`, which is stored in
            `data/reference/05_prefetch.csv`.
        by: the column, or columns, that say which row is which; `1`, `1.0` and `"1"` are the same.
        values: the column, or columns, of what was measured.
        broker: what it was measured with, for a new reference run of a frame without the
            column `rabbitmq`.

    Returns:
        One row a row of the frame: the columns `by`, and for each of `values` the column
        itself and that of the reference run as `…_reference`, which is NaN where there is
        none. Numbers are rounded to three digits, whole ones are not.

    Raises:
        ValueError: the name is no such name, or, of a new reference run, several rows have the
            same `by`.
        KeyError: there is no such column.
        DataError: the stored reference run cannot be read.
    """
    if not re.fullmatch(r"[0-9a-z_]+", name):
        raise ValueError(f"name is {name!r}; it has digits, small letters and underscores only")
    by = [by] if isinstance(by, str) else list(by)
    values = [values] if isinstance(values, str) else list(values)
    keys = _keys(frame, by)
    earlier = _read(name, by).reindex(keys)
    compared = frame[by].copy()
    for value in values:
        then = pd.to_numeric(earlier.get(value, pd.Series(index=keys, dtype=float)), errors="coerce")
        then.index = frame.index
        if pd.api.types.is_integer_dtype(frame[value]):
            compared[value] = frame[value]
            compared[f"{value}_reference"] = then.round().astype("int64") if then.notna().all() else then
        else:
            compared[value] = _round(frame[value])
            compared[f"{value}_reference"] = _round(then)
    if os.environ.get(KEEP_SETTING) == "1":
        if keys.has_duplicates:
            raise ValueError(f"{', '.join(by)} do not tell all rows apart; a reference run has one of each")
        _keep(frame, FOLDER / f"{name}.csv", [*by, *values], broker)
    return compared.reset_index(drop=True)


def read_reference(name: str) -> pd.DataFrame:
    """Return a reference run that the repository stores, as it was measured.

    Args:
        name: name of the run, such as `bench`, which is stored in `data/reference/bench.csv`.

    Raises:
        DataError: there is no such run, or it cannot be read.
    """
    return _read_csv(FOLDER / f"{name}.csv")


def _keep(frame: pd.DataFrame, path: Path, columns: Sequence[str], broker: Broker | None) -> None:
    """Make a frame the reference run."""
    kept = frame[list(dict.fromkeys(columns))].copy()
    here = provenance(broker)
    for column in PROVENANCE:
        if column not in kept:
            kept[column] = frame[column] if column in frame else here.get(column)
    kept["measured"] = datetime.now(UTC).date().isoformat()
    kept.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    logger.info("kept %s as the reference run", path.name)


def _read(name: str, by: Sequence[str]) -> pd.DataFrame:
    """Return a reference run as text, its rows named by what tells them apart; empty where there is none."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        logger.info("there is no reference run %s", path.name)
        return pd.DataFrame()
    # As text: what a column is taken for depends on what else stands in it.
    reference = _read_csv(path, dtype=str, keep_default_na=False)
    if not set(by) <= set(reference):
        logger.info("the reference run %s is not by %s", path.name, ", ".join(by))
        return pd.DataFrame()
    return reference.set_index(_keys(reference, by))


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"The reference run {path.name} cannot be read ({error}). "
            "Next: get the file from the repository again"
        ) from error
    return frame


def _keys(frame: pd.DataFrame, by: Sequence[str]) -> pd.Index:
    """Return what tells rows apart, the same whether it comes from a run or from a file."""
    return pd.Index(
        ["|".join(map(_key, row)) for row in frame[list(by)].astype(object).to_numpy()], dtype=object
    )


def _key(value: Any) -> str:
    """Write a value as one text, whatever its type; nothing is empty, as in a file."""
    try:
        text = repr(float(str(value)))
    except ValueError:
        text = str(value)
    return "" if text in ("nan", "None") else text


def _round(values: pd.Series) -> pd.Series:
    """Round to three significant digits."""
    return values.map(lambda value: float(f"{value:.3g}"), na_action="ignore").astype(float)
