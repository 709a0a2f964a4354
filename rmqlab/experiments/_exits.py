"""How programs of the reader's own end when their broker is broken."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from rmqlab.errors import BrokerError

END_TIMEOUT_S = 10


def observe_exits(
    programs: Mapping[str, Callable[[], object]],
    faults: Mapping[str, Callable[[], object]],
    *,
    begin: Callable[[], object],
    end: Callable[[], object],
    timeout_s: float = 1.0,
) -> pd.DataFrame:
    """Run programs, break their broker, and see whether each ends, and how.

    For each fault, all programs are started anew, each in a thread.

    Args:
        programs: for each program's name, what runs it until it ends by itself.
        faults: for each fault's name, what makes it happen, and returns when it is over.
        begin: called once the programs are started; returns when they are at work.
        end: called when the outcome is known; ends programs that still run.
        timeout_s: how long after a fault a program that has not ended counts as going on,
            in seconds.

    Returns:
        One row a fault and program: fault, program, outcome (`dies`, of an exception;
        `returns`; `goes on`), error (class of the exception; empty without one), after_s (when
        it ended, from its start; NaN if it goes on).

    Raises:
        BrokerError: a program does not end when it should.
    """
    rows = []
    for fault, happen in faults.items():
        threads = {name: _Program(name, program) for name, program in programs.items()}
        try:
            begin()
            happen()
            deadline_s = time.monotonic() + timeout_s
            for each in threads.values():
                each.thread.join(max(deadline_s - time.monotonic(), 0))
            rows += [{"fault": fault, "program": name, **each.outcome()} for name, each in threads.items()]
        finally:
            end()
            for each in threads.values():
                each.thread.join(END_TIMEOUT_S)
        if late := [name for name, each in threads.items() if each.thread.is_alive()]:
            raise BrokerError(
                f"The program {late[0]!r} still runs. Next: give an `end` that closes its connection"
            )
    return pd.DataFrame(rows)


class _Program:
    """A program in a thread, and how it ended."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self._run = run
        self._error: BaseException | None = None
        self._lasted_s = math.nan
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        started_s = time.perf_counter()
        try:
            self._run()
        except Exception as error:
            self._error = error
        self._lasted_s = time.perf_counter() - started_s

    def outcome(self) -> dict[str, Any]:
        if self.thread.is_alive():
            return {"outcome": "goes on", "error": "", "after_s": math.nan}
        error = "" if self._error is None else type(self._error).__name__
        return {"outcome": "dies" if error else "returns", "error": error, "after_s": self._lasted_s}
