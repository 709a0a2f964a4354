"""What each part offers is there, and an experiment comes and goes with its lesson."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "part",
    [
        "rmqlab",
        *(f"rmqlab.{each}" for each in ("broker", "amqp", "engine", "measure", "experiments")),
    ],
)
def test_a_part_has_the_names_that_it_offers(part: str) -> None:
    module = importlib.import_module(part)

    assert module.__all__
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_each_experiment_is_shown_in_a_notebook_or_makes_a_reference() -> None:
    experiments = importlib.import_module("rmqlab.experiments")
    sources = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("data/**/*.py"), *ROOT.rglob("user_program.py")]
    named = set(re.findall(r"\w+", "".join(path.read_text() for path in sources)))

    assert set(experiments.__all__) - named == set()
