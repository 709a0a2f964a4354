"""How programs of the reader's own end when their broker is broken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from rmqlab.broker import OwnBroker
from rmqlab.errors import BrokerError
from rmqlab.experiments._config import Config
from rmqlab.experiments._result import Result
from rmqlab.measure import provenance

END_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitsConfig(Config):
    """Which programs are run, and what happens to their broker.

    Attributes:
        programs: for each program's name, what runs it until it ends by itself.
        faults: for each fault's name, what makes it happen, and returns when it is over.
        ready: called once the programs are started; returns when they are at work.
        timeout_s: how long after a fault a program that has not ended counts as going on,
            in seconds.
    """

    programs: Mapping[str, Callable[[], object]]
    faults: Mapping[str, Callable[[], object]] = field(default_factory=lambda: {"nothing": lambda: None})
    ready: Callable[[], object] = lambda: None
    timeout_s: float = 1.0


def observe_exits(broker: OwnBroker, config: ExitsConfig) -> Result:
    """Run programs, break their broker, and see whether each ends, and how.

    For each fault all programs are started anew, each in a thread. In the end all connections to
    the broker are closed, for programs that still run.

    Args:
        broker: the programs' broker, one of your own.
        config: the programs, and what happens.

    Returns:
        One row a fault and program: fault, program, outcome (`dies`, of an exception;
        `returns`; `goes on`), error (class of the exception; empty without one), after_s (when
        it ended, in seconds from its start; NaN if it goes on).

    Raises:
        BrokerError: a program does not end when its connection is closed.
    """
    rows = []
    for fault, happen in config.faults.items():
        threads = ThreadPoolExecutor(len(config.programs))
        running = {name: threads.submit(_run, program) for name, program in config.programs.items()}
        try:
            config.ready()
            happen()
            wait(running.values(), config.timeout_s)
            for name, each in running.items():
                outcome = each.result() if each.done() else {"outcome": "goes on", "error": ""}
                rows.append({"fault": fault, "program": name, "after_s": math.nan, **outcome})
        finally:
            broker.close_connections()
            threads.shutdown(wait=False)
            late = wait(running.values(), END_TIMEOUT_S).not_done
        if late:
            names = ", ".join(name for name, each in running.items() if each in late)
            raise BrokerError(f"Still runs: {names}. Next: let it end when its connection is closed")
    return Result(pd.DataFrame(rows), None, provenance(broker))


def _run(program: Callable[[], object]) -> dict[str, Any]:
    """Run a program, and return how it ended."""
    started_s = time.perf_counter()
    outcome, error = "returns", ""
    try:
        program()
    except Exception as problem:
        outcome, error = "dies", type(problem).__name__
    return {"outcome": outcome, "error": error, "after_s": time.perf_counter() - started_s}
