"""What `import rmqlab` costs and offers."""

from __future__ import annotations

import json

import pytest
from helpers import run_python

HEAVY = {
    "IPython",
    "docker",
    "httpx",
    "jupyterlab",
    "matplotlib",
    "nbclient",
    "numpy",
    "pandas",
    "testcontainers",
}


def _loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))"
    _, out, err = run_python("-c", code)
    assert out, err
    return set(json.loads(out))


def test_import_loads_no_library_that_is_not_needed_yet() -> None:
    assert _loaded_by("import rmqlab") & (HEAVY | {"pika"}) == set()


@pytest.mark.parametrize("module", ["rmqlab.engine", "rmqlab.measure", "rmqlab.app.cli"])
def test_parts_load_the_heavy_libraries_only_when_used(module: str) -> None:
    # A ledger is numpy arrays, and a report is frames.
    expected = {"numpy", "pandas"} if module == "rmqlab.measure" else set()
    assert _loaded_by(f"import {module}") & HEAVY == expected
