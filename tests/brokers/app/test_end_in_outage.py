"""An end in the middle of an outage: of a program that breaks a broker of its own."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from helpers import eventually, remains_of, running

PROGRAM = """
import signal, sys
from rmqlab.broker import start_broker
from rmqlab.experiments import FaultsConfig, break_everything

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, signal.default_int_handler)
with start_broker(own=True) as own:
    print(own._source.resources()["folder"], flush=True)
    break_everything(own, FaultsConfig.quick(faults=(sys.argv[1],), clients=("rmqlab",)))
"""
END_S = 40  # a restart is let end, which takes its time on a busy machine


@pytest.mark.parametrize(
    ("fault", "number"),
    [("restart", signal.SIGINT), ("frozen", signal.SIGTERM), ("frozen", signal.SIGKILL)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_end_in_the_middle_of_an_outage_leaves_nothing(fault: str, number: signal.Signals) -> None:
    """Ctrl-C, an orderly end, and what the restart of a kernel comes to in the worst case."""
    options = {"RMQLAB_OWN_BROKER": "node", "stderr": subprocess.DEVNULL}
    with running("-c", PROGRAM, fault, **options) as process:
        assert process.stdout
        folder = process.stdout.readline().strip()
        remains = remains_of("node", {"folder": folder})
        server = psutil.Process(int((Path(folder) / "pid").read_text()))
        assert eventually(lambda: _is_out(server), seconds=60)
        others = psutil.Process(process.pid).children(recursive=True)  # clients, and the broker's reaper
        assert process.poll() is None
        process.send_signal(number)
        signaled_s = time.monotonic()
        process.wait(30)
        assert eventually(lambda: not remains(), seconds=30)
        assert time.monotonic() - signaled_s < END_S
        assert others
        assert psutil.wait_procs(others, timeout=10)[1] == []  # the reaper looks twice


def _is_out(server: psutil.Process) -> bool:
    """Return whether a server is gone, or frozen."""
    try:
        return server.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
