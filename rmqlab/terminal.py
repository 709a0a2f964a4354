"""The terminal that a command runs in: when it is closed, the command ends as on SIGTERM."""

from __future__ import annotations

import os
import select
import signal
import threading
from types import FrameType

LOOK_EVERY_MS = 1000


def end_with_terminal() -> None:
    """From now on, end this process as SIGTERM does when its terminal is closed.

    The kernel tells only the leader of the session. Where that is `make`, as in
    `ssh -t host 'make lab'`, it waits for us, and we wait for nothing; so we look ourselves.
    Where SIGHUP is ignored, as under `nohup`, the process is to stay, and does.
    """
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return
    terminals = [number for number in (0, 1, 2) if os.isatty(number)]

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        # The second of two, from the kernel and from us, is not to disturb what tidies up.
        signal.signal(signal.SIGHUP, lambda *_: None)
        for number in filter(_is_gone, terminals):
            _silence(number)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGHUP, hang_up)
    if terminals:
        threading.Thread(target=_watch, args=(terminals[0],), name="terminal", daemon=True).start()


def _watch(number: int) -> None:
    """Wait until a terminal is gone; then interrupt the main thread."""
    while not _is_gone(number, LOOK_EVERY_MS):
        pass
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGHUP)


def _is_gone(number: int, time_ms: int = 0) -> bool:
    """Say whether a terminal is gone, or goes within a time."""
    look = select.poll()
    look.register(number, 0)  # that it is gone is told unasked
    return any(event & select.POLLHUP for _, event in look.poll(time_ms))


def _silence(number: int) -> None:
    """Let what is still written to a terminal that is gone go nowhere, and not fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, number)
    os.close(nowhere)
