"""An end in the middle of an outage: of a program that breaks a broker of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

TOKEN = "RMQLAB_TEST_TOKEN"
PROGRAM = """
import signal, sys
from rmqlab.broker import start_broker
from rmqlab.experiments import FaultsConfig, break_everything

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, signal.default_int_handler)
with start_broker(own=True) as own:
    break_everything(own, FaultsConfig.quick(faults=(sys.argv[1],), clients=("rmqlab",)))
"""
END_S = 20  # a restart that is under way is brought to its end, which takes about half of it


@pytest.mark.parametrize(
    ("fault", "number"),
    [("restart", signal.SIGINT), ("frozen", signal.SIGTERM), ("frozen", signal.SIGKILL)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_end_in_the_middle_of_an_outage_leaves_nothing(fault: str, number: signal.Signals) -> None:
    """Ctrl-C, an orderly end, and what the restart of a kernel comes to in the worst case."""
    token = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, fault],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RMQLAB_OWN_BROKER": "node", TOKEN: token},
    )
    try:
        _wait_until(lambda: bool(_servers(token)), 60)
        (server,) = _servers(token)
        _wait_until(lambda: _is_out(server), 60)
        assert process.poll() is None
        process.send_signal(number)
        signaled_s = time.monotonic()
        process.wait(30)
        _wait_until(lambda: not _servers(token), 30)
        assert time.monotonic() - signaled_s < END_S
        _wait_until(lambda: not _with_token(token), 10)  # the reaper looks twice
    finally:
        process.kill()
        process.wait(5)


def _with_token(token: str) -> list[psutil.Process]:
    """Return the processes that a process with this token started, and that one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(TOKEN) == token:
                found.append(process)
    return found


def _servers(token: str) -> list[psutil.Process]:
    """Return the server of the node that a process with this token started, if it runs."""
    for process in _with_token(token):
        with contextlib.suppress(psutil.Error, OSError, KeyError, ValueError):
            return [psutil.Process(int((Path(process.environ()["RMQLAB_NODE"]) / "pid").read_text()))]
    return []


def _is_out(server: psutil.Process) -> bool:
    """Return whether a server is gone, or frozen."""
    try:
        return server.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
