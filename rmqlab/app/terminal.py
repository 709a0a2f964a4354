"""The terminal that a command runs in: when it is closed, the command ends as on SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

LOOK_EVERY_S = 1.0


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
        # The second of two, from the kernel and from us, is not to disturb what cleans up.
        signal.signal(signal.SIGHUP, lambda *_: None)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in terminals:
            if not os.isatty(number):  # what is still written there goes nowhere, and does not fail
                os.dup2(nowhere, number)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGHUP, hang_up)
    if terminals:
        threading.Thread(target=_watch, args=(terminals[0],), name="terminal", daemon=True).start()


def _watch(number: int) -> None:
    """Wait until a terminal is gone; then interrupt the main thread."""
    while os.isatty(number):  # not polled: macOS polls no terminals, and Windows polls nothing
        time.sleep(LOOK_EVERY_S)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGHUP)
