"""Run a variant in a process of its own, or in several, with a time limit."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rmqlab.experiments.clients._model import BenchError, Variant, Workload

LIMIT_S = 60
END_S = 5


def run_in_processes(variant: Variant, order: Workload, *, limit_s: float = LIMIT_S) -> float:
    """Run a variant once, its messages shared by its processes.

    Args:
        variant: who runs.
        order: what it does in all; at least one message for each process.
        limit_s: end it after so many seconds.

    Returns:
        Seconds from the first process's start of its clock to the last one's stop.

    Raises:
        BenchError: it failed, or the time limit passed; says who and why.
    """
    late = threading.Event()
    with _children(variant.processes) as children:

        def end() -> None:
            late.set()
            for child in children:
                child.kill()

        timer = threading.Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            times = _talk(variant, order, children)
        except BenchError as error:
            reason = f"took longer than {limit_s:g} s" if late.is_set() else f"failed ({error})"
            raise BenchError(
                f"{variant} {reason} with {order.count} messages. "
                "Next: see that the broker is well, and run it again"
            ) from error
        finally:
            timer.cancel()
    # The clocks of processes on one machine are one.
    return max(stopped_s for _, stopped_s in times) - min(started_s for started_s, _ in times)


def _talk(variant: Variant, order: Workload, children: list[_Child]) -> list[tuple[float, float]]:
    """Give each process its part of the order, let all start at once, and give their times."""
    share, rest = divmod(order.count, len(children))
    work = f"{variant.work.__module__}:{variant.work.__qualname__}"
    for number, child in enumerate(children):
        part = asdict(order) | {"count": share + (number < rest)}
        child.tell(json.dumps({"work": work, "arguments": dict(variant.arguments), "order": part}))
    for child in children:
        child.hear()
    for child in children:
        child.tell("start")
    answers = [child.hear() for child in children]
    return [(answer["started_s"], answer["stopped_s"]) for answer in answers]


class _Child:
    """A process of `rmqlab.experiments.clients._child`."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rmqlab.experiments.clients._child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is for us; then we end it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # also on Windows
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def tell(self, line: str) -> None:
        """Write a line to it."""
        with contextlib.suppress(BrokenPipeError):  # it is gone, which the next answer tells
            self._stdin.write(line + "\n")
            self._stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for a line of it.

        Raises:
            BenchError: it ended, or tells of an error.
        """
        line = self._stdout.readline()
        if not line:
            raise BenchError(f"its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def wait(self) -> None:
        """Let it close its connection, and end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def end(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout, self._errors):
            with contextlib.suppress(OSError):  # a line that nobody has read
                stream.close()

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"code {self._process.returncode}")


@contextlib.contextmanager
def _children(count: int) -> Iterator[list[_Child]]:
    """Start processes, and leave none behind."""
    with contextlib.ExitStack() as stack:
        children = []
        for _ in range(count):
            child = _Child()
            stack.callback(child.end)
            children.append(child)
        yield children
        for child in children:
            child.wait()
