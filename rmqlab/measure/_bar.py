"""A progress bar, the same for all that takes long."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar_of(items: Iterable[T], unit: str, *, progress: bool) -> tqdm[T]:
    """Return a progress bar over items; it shows how far it is where these have a length."""
    # On standard output, as JupyterLab paints standard error like a warning.
    return tqdm(items, unit=unit, file=sys.stdout, disable=not progress)
