"""Break a broker under load, and see what its clients lose, repeat, and how fast they recover.

`rmqlab faults` is the command. From Python: `run_matrix` runs each fault with each client on
each type of queue, `run_trial` a single one of them, and `to_frame` and `summarize` tell what
came of it. How each client is used is told in the module of its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmqlab.experiments.faults._clients import CLIENTS, Client
    from rmqlab.experiments.faults._kinds import FAULTS, FaultKind
    from rmqlab.experiments.faults._matrix import QUEUE_TYPES, Cell, find_cells, run_matrix
    from rmqlab.experiments.faults._table import environment, summarize, to_frame
    from rmqlab.experiments.faults._trial import Settings, Trial, run_trial

__all__ = [
    "CLIENTS",
    "FAULTS",
    "QUEUE_TYPES",
    "Cell",
    "Client",
    "FaultKind",
    "Settings",
    "Trial",
    "environment",
    "find_cells",
    "run_matrix",
    "run_trial",
    "summarize",
    "to_frame",
]

HOMES = ("_clients", "_kinds", "_trial", "_matrix", "_table")


def __getattr__(name: str) -> Any:
    # Loaded when first needed: the command line is quick.
    if name in __all__:
        for home in HOMES:
            module = import_module(f"rmqlab.experiments.faults.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'rmqlab.experiments.faults' has no attribute {name!r}")
