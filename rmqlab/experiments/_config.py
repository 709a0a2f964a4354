"""What the experiments have in common: their two sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self


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
