"""What the experiments have in common: sizes, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Config:
    """A configuration with two sizes: its defaults are the quick one, `FULL` is what differs in the full."""

    __slots__ = ()
    FULL: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Return the size for a lesson, some seconds long, with these changes."""
        return cls(**changes)

    @classmethod
    def full(cls, **changes: Any) -> Self:
        """Return the size of a reference run, with these changes."""
        return cls(**{**cls.FULL, **changes})


def bar_of(items: Iterable[T], unit: str, *, progress: bool) -> tqdm[T]:
    """Return a progress bar over items."""
    # On standard output, as JupyterLab paints standard error like a warning.
    return tqdm(list(items), unit=unit, file=sys.stdout, disable=not progress)
