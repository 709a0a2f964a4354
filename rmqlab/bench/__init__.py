"""Compare ways to publish and to consume, and the client libraries that offer them.

`rmqlab bench` is the command. From Python: `find_suites` gives who runs against whom,
`run_suite` lets them run, and `to_frame` and `summarize` tell how fast each was. What makes
the comparison fair is told in `FAIR`, and how each library is used in the module of its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmqlab.bench._frames import summarize, to_frame, where
    from rmqlab.bench._model import BenchError, Contestant, Library, Order, Stopwatch, Suite
    from rmqlab.bench._runner import Outcome, Result, run_once, run_suite
    from rmqlab.bench._suites import FAIR, find_suites

__all__ = [
    "FAIR",
    "BenchError",
    "Contestant",
    "Library",
    "Order",
    "Outcome",
    "Result",
    "Stopwatch",
    "Suite",
    "find_suites",
    "run_once",
    "run_suite",
    "summarize",
    "to_frame",
    "where",
]

HOMES = ("_model", "_suites", "_runner", "_frames")


def __getattr__(name: str) -> Any:
    # Loaded when first needed: the command line is quick, and so is each contestant's process.
    if name in __all__:
        for home in HOMES:
            module = import_module(f"rmqlab.bench.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'rmqlab.bench' has no attribute {name!r}")
