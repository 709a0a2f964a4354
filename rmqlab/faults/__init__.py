"""Break a broker under load, and see what its clients lose, repeat, and how fast they recover.

`rmqlab faults` is the command. From Python: `run_matrix` runs each fault with each client on
each type of queue, `run_trial` a single one of them, and `to_frame` and `summarize` tell what
came of it. How each client is used is told in the module of its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmqlab.faults._clients import CLIENTS, Client
    from rmqlab.faults._kinds import KINDS, Kind
    from rmqlab.faults._matrix import QUEUE_TYPES, Cell, find_cells, run_matrix
    from rmqlab.faults._table import summarize, to_frame, where
    from rmqlab.faults._trial import Settings, Trial, run_trial

__all__ = [
    "CLIENTS",
    "KINDS",
    "QUEUE_TYPES",
    "Cell",
    "Client",
    "Kind",
    "Settings",
    "Trial",
    "find_cells",
    "run_matrix",
    "run_trial",
    "summarize",
    "to_frame",
    "where",
]

HOMES = ("_clients", "_kinds", "_trial", "_matrix", "_table")


def __getattr__(name: str) -> Any:
    # Loaded when first needed: the command line is quick.
    if name in __all__:
        for home in HOMES:
            module = import_module(f"rmqlab.faults.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'rmqlab.faults' has no attribute {name!r}")
