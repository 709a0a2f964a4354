"""What is closed when its `with` block is left."""

from __future__ import annotations

from typing import Self


class Closing:
    """Gives a class with `close` the `with` statement."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what is held. Safe to call twice."""
        raise NotImplementedError
