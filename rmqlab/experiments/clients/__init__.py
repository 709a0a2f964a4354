"""Compare ways to publish and to consume, and the client libraries that offer them.

`rmqlab bench` is the command. From Python: `find_suites` gives who runs against whom,
`run_suite` lets them run, and `to_frame` and `summarize` tell how fast each was. What makes
the comparison fair is told in `FAIR`, and how each library is used in the module of its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmqlab.experiments.clients._frames import environment, summarize, to_frame
    from rmqlab.experiments.clients._model import BenchError, Library, Stopwatch, Suite, Variant, Workload
    from rmqlab.experiments.clients._runner import Outcome, Result, run_once, run_suite
    from rmqlab.experiments.clients._suites import FAIR, find_suites

__all__ = [
    "FAIR",
    "BenchError",
    "Library",
    "Outcome",
    "Result",
    "Stopwatch",
    "Suite",
    "Variant",
    "Workload",
    "environment",
    "find_suites",
    "run_once",
    "run_suite",
    "summarize",
    "to_frame",
]

HOMES = ("_model", "_suites", "_runner", "_frames")


def __getattr__(name: str) -> Any:
    # Loaded when first needed: the command line is quick, and so is each variant's process.
    if name in __all__:
        for home in HOMES:
            module = import_module(f"rmqlab.experiments.clients.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'rmqlab.experiments.clients' has no attribute {name!r}")
