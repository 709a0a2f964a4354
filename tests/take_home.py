"""Starts the programs of `notebooks/programs`, and reads what they log."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from helpers import running

from rmqlab.broker import Broker, Link

PROGRAMS = Path(__file__).parents[1] / "notebooks" / "programs"
MANY = "1000000"  # more tasks than a test needs


class Program:
    """A program of the lessons, and what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log += line

    def engines(self, verb: str) -> list[str]:
        """Return the engines of the tasks of which it logged this, in order."""
        return re.findall(rf"{verb} (engine-\d+)", self.log)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextlib.contextmanager
def started(name: str, broker: Broker | Link | str, *arguments: str) -> Iterator[Program]:
    url = broker if isinstance(broker, str) else broker.url
    with running(str(PROGRAMS / f"{name}.py"), *arguments, AMQP_URL=url) as process:
        yield Program(process)
