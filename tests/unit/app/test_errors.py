"""The tree of errors, and how one of them looks in a notebook."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil

import pytest

import rmqlab
from rmqlab import errors
from rmqlab.errors import BrokerError, ChannelClosedError, RmqlabError


def test_every_error_of_the_package_is_an_rmqlab_error() -> None:
    names = {module.name for module in pkgutil.walk_packages(rmqlab.__path__, "rmqlab.")}
    modules = map(importlib.import_module, names - {"rmqlab.__main__"})
    values = [value for module in modules for value in vars(module).values() if inspect.isclass(value)]
    found = {each for each in values if issubclass(each, Exception) and each.__module__.startswith("rmqlab")}

    assert errors.RejectError in found
    assert {each for each in found if not issubclass(each, RmqlabError)} == set()


def test_a_notebook_shows_the_sentence_without_the_stack() -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell()
    with capture_output() as captured:
        shell.run_cell("from rmqlab.errors import DataError\nraise DataError('It is so. Next: do this')")
    shown = captured.stdout + captured.stderr

    assert "DataError: It is so. Next: do this" in shown
    assert "line 2 of the cell: raise DataError" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "error", [BrokerError("It is gone. Next: start it"), ChannelClosedError(404, "x", "y")]
)
def test_an_error_and_its_next_step_travel_between_processes(error: RmqlabError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert again.next_step
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
