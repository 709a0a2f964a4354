"""The reference runs of the lessons: what was measured once, to lay one's own numbers beside."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmqlab.broker import Broker
from rmqlab.errors import DataError
from rmqlab.measure._report import provenance

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parents[2] / "data" / "reference"
KEEP_SETTING = "RMQLAB_KEEP_REFERENCE"
PROVENANCE = ("rabbitmq", "pika", "python", "cores")
SHOWN_DIGITS = 3
KEPT_DIGITS = 6

Key = tuple[object, ...]

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

    With `RMQLAB_KEEP_REFERENCE=1` in the environment, the numbers become the reference run
    first: that is what `make reference` does.

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
        ValueError: the name is no such name, there is no such column, or, of a new reference
            run, several rows have the same `by`.
        DataError: the stored reference run cannot be read.
    """
    import pandas as pd

    if not re.fullmatch(r"[0-9a-z_]+", name):
        raise ValueError(f"name is {name!r}; it has digits, small letters and underscores only")
    by = [by] if isinstance(by, str) else list(by)
    values = [values] if isinstance(values, str) else list(values)
    if missing := [column for column in (*by, *values) if column not in frame]:
        raise ValueError(
            f"the frame has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}"
        )
    path = FOLDER / f"{name}.csv"
    if os.environ.get(KEEP_SETTING) == "1":
        _keep(frame, path, by, values, broker)
    reference = _read(path, by)
    keys = _keys(frame, by)
    columns = {column: frame[column] for column in by}
    for value in values:
        is_whole = pd.api.types.is_integer_dtype(frame[value])
        found = pd.Series([_number(reference.get(key, {}).get(value)) for key in keys], frame.index, float)
        columns[value] = frame[value] if is_whole else _round(frame[value], SHOWN_DIGITS)
        columns[f"{value}_reference"] = found if is_whole else _round(found, SHOWN_DIGITS)
        if is_whole and found.notna().all():
            columns[f"{value}_reference"] = found.round().astype("int64")
    return pd.DataFrame(columns).reset_index(drop=True)


def read_reference(name: str) -> pd.DataFrame:
    """Return a reference run that the repository stores, as it was measured.

    Args:
        name: name of the run, such as `bench`, which is stored in `data/reference/bench.csv`.

    Raises:
        DataError: there is no such run, or it cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_csv(FOLDER / f"{name}.csv")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"The reference run {name}.csv cannot be read ({error}). "
            "Next: get the file from the repository again"
        ) from error


def _keep(
    frame: pd.DataFrame, path: Path, by: Sequence[str], values: Sequence[str], broker: Broker | None
) -> None:
    """Make a frame the reference run."""
    keys = _keys(frame, by)
    if len(set(keys)) < len(keys):
        raise ValueError(f"{', '.join(by)} do not tell all rows apart; a reference run has one of each")
    kept = frame[list(dict.fromkeys([*by, *values]))].copy()
    for value in values:
        if kept[value].dtype.kind == "f":
            kept[value] = _round(kept[value], KEPT_DIGITS)
    here = provenance(broker)
    for column in PROVENANCE:
        if column not in kept:
            kept[column] = frame[column] if column in frame else here.get(column)
    kept["measured"] = datetime.now(UTC).date().isoformat()
    kept.to_csv(path, index=False, lineterminator="\n")
    logger.info("kept %s as the reference run", path.name)


def _read(path: Path, by: Sequence[str]) -> dict[Key, dict[str, Any]]:
    """Return the rows of a reference run by what tells them apart."""
    import pandas as pd

    try:
        # As text: what a column is taken for depends on what else stands in it.
        reference = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        logger.info("there is no reference run %s", path.name)
        return {}
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"The reference run {path.name} cannot be read ({error}). "
            "Next: get the file from the repository again"
        ) from error
    if not set(by) <= set(reference):
        logger.info("the reference run %s is not by %s", path.name, ", ".join(by))
        return {}
    rows = [{str(column): value for column, value in row.items()} for row in reference.to_dict("records")]
    return dict(zip(_keys(reference, by), rows, strict=True))


def _keys(frame: pd.DataFrame, by: Sequence[str]) -> list[Key]:
    """Return what tells rows apart, the same whether it comes from a run or from a file."""
    return list(zip(*([_key(value) for value in frame[column]] for column in by), strict=True))


def _key(value: Any) -> object:
    import pandas as pd

    number = _number(value)
    if not math.isnan(number):
        return number
    return "" if pd.isna(value) else str(value)  # a file knows no other way to write nothing


def _number(value: Any) -> float:
    """Return a number, however it is written; NaN for what is none."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _round(values: pd.Series, digits: int) -> pd.Series:
    """Round to a number of significant digits."""
    return values.map(lambda value: float(f"{value:.{digits}g}"), na_action="ignore").astype(float)
