"""What is broken on purpose for a while, and mended whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from rmqlab.interrupts import deferred


@dataclass(slots=True)
class Outage:
    """A time during which something was broken on purpose.

    Attributes:
        fault: what was done: `restart`, `kill`, `pause`, `memory alarm` or `partition`.
        down_ns: when it had happened, in nanoseconds of `time.perf_counter_ns`, the ledger's clock.
        up_ns: when it was undone and all was well again, on the same clock; 0 until then.
    """

    fault: str
    down_ns: int = 0
    up_ns: int = 0

    @property
    def lasted_s(self) -> float:
        """How long it lasted, or has lasted so far, in seconds."""
        return ((self.up_ns or time.perf_counter_ns()) - self.down_ns) / 1e9


class Fault:
    """Breaks something at the beginning of a `with` block, and mends it at the end.

    An interrupt that comes while it breaks or mends is raised afterwards.

    Args:
        name: what is done, for the outage.
        begin: does it, and waits until it has happened.
        end: undoes it, and waits until all is well again; does no harm where nothing was done.
    """

    def __init__(self, name: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self._outage = Outage(name)
        self._begin = begin
        self._end = end
        self._is_over = False

    def __enter__(self) -> Outage:
        try:
            with deferred:
                self._begin()
                self._outage.down_ns = time.perf_counter_ns()
            return self._outage
        except BaseException:  # an interrupt as well
            with contextlib.suppress(Exception):  # what began this tells more
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._mend()
        except BaseException:
            if not self._is_over:  # interrupted before it began
                self._mend()
            raise

    def _mend(self) -> None:
        with deferred:
            self._is_over = True
            self._end()
            self._outage.up_ns = time.perf_counter_ns()
