"""The reaper: a small process that cleans up when the one that started a broker is gone.

A kernel can be restarted and a terminal closed at any moment, and then no `finally` runs. So each
broker has a reaper: when the pipe to its owner closes, or its parent changes, it cleans up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from rmqlab.broker._source import Resources, source_class

LOOK_EVERY_S = 1.0
# What was being started in the very moment when the parent went needs a second look.
SECOND_LOOK_AFTER_S = 3.0
END_TIMEOUT_S = 5
# What its owner has told just before it went is in the pipe, and not yet read.
LAST_NEWS_AFTER_S = 0.5
STOPPED = "stopped"


class Reaper:
    """The reaper of one broker, as its owner sees it."""

    def __init__(self, source: str, resources: Resources) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for the reaper
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # nor on Windows
        )
        assert self._process.stdin
        self._pipe = self._process.stdin
        self._tell({"owner": os.getpid(), "source": source, "resources": resources})

    def note(self, claimed: bool, kind: str, name: str) -> None:
        """Add a name to those that are to be deleted in a shared virtual host, or take it off."""
        self._tell([claimed, kind, name])

    def stop(self) -> None:
        """End the reaper: there is nothing left to clean up."""
        self._tell(STOPPED)
        self.take_over()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def take_over(self) -> None:
        """Let the reaper clean up now, as if the owner were gone; does not wait for it."""
        with contextlib.suppress(OSError):
            self._pipe.close()

    def _tell(self, what: object) -> None:
        with contextlib.suppress(OSError):
            self._pipe.write(json.dumps(what).encode() + b"\n")
            self._pipe.flush()


def watch() -> None:
    """Be the reaper: read the order, wait for the owner to go, clean up."""
    gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: gone.set())
    order = json.loads(sys.stdin.buffer.readline() or b"null")
    if order is None:
        return
    stopped = threading.Event()

    def listen() -> None:
        for message in map(json.loads, sys.stdin.buffer):
            if message == STOPPED:
                stopped.set()
                break
            claimed, *claim = message
            claims = order["resources"]["claims"]
            (claims.append if claimed else claims.remove)(claim)
        gone.set()

    threading.Thread(target=listen, daemon=True).start()
    while not gone.wait(LOOK_EVERY_S):
        # A forked child of the owner can hold the pipe open after the owner is gone.
        if os.name == "posix" and os.getppid() != order["owner"]:
            gone.wait(LAST_NEWS_AFTER_S)
            break
    if not stopped.is_set():
        cleanup(order)
        # In a shared virtual host, what is there after the first look may be the next lab's.
        if not order["resources"].get("shared"):
            time.sleep(SECOND_LOOK_AFTER_S)
            cleanup(order)


def cleanup(order: dict[str, Any]) -> None:
    """Clean up what is left, as far as that can be done."""
    with contextlib.suppress(Exception):
        source_class(order["source"]).cleanup(order["resources"])


if __name__ == "__main__":
    watch()
    # The listening thread may still be inside a read, which would hold up a normal exit.
    os._exit(0)
