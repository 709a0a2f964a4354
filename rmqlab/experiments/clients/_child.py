"""The process that a variant runs in: `python -m rmqlab.experiments.clients._child`.

It reads one line, the job; says when it is ready; waits for a line before its clock starts,
so that several processes start together; and writes one line, the result. When whoever
started it is gone, so is the line it waits for, and it ends.
"""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import sys
import threading
from urllib.parse import urlsplit

from rmqlab.experiments.clients._model import Stopwatch, Workload


def main() -> None:
    """Do the job that standard input gives."""
    # As in a program that has set up logging: a message below WARNING costs only the question.
    logging.basicConfig(handlers=[logging.NullHandler()])
    job = json.loads(sys.stdin.readline())
    order = Workload(**job["order"])
    stopwatch = Stopwatch(gate=_wait_for_start)
    try:
        pkgutil.resolve_name(job["work"])(order, stopwatch, **job["arguments"])
    except Exception as error:
        _say(error=_describe(error, order.url))
    else:
        _say(started_s=stopwatch.started_s, stopped_s=stopwatch.stopped_s)
    sys.stdout.flush()
    os._exit(0)  # whatever threads a library has left


def _wait_for_start() -> None:
    _say(ready=True)
    if not sys.stdin.readline():
        os._exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _say(**message: object) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201 this is how it answers


def _describe(error: Exception, url: str) -> str:
    """Tell an error in one line, without the password."""
    line = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
    return line.replace(f":{urlsplit(url).password}@", ":***@")


if __name__ == "__main__":
    main()
