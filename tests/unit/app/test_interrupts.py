"""Waits that an interrupt ends, whichever thread the system gives it to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from rmqlab.interrupts import result_of, wait_for

LIMIT_S = 20  # of a wait that an interrupt does not end


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no thread can be sent a signal here")
@pytest.mark.usefixtures("interrupts_as_in_a_terminal")
@pytest.mark.parametrize(
    "wait",
    [result_of, lambda future: wait_for(lambda seconds: threading.Event().wait(seconds) or future.done())],
    ids=["result_of", "wait_for"],
)
def test_an_interrupt_that_another_thread_gets_ends_a_wait(wait: Callable[[Future[str]], object]) -> None:
    future: Future[str] = Future()
    too_late = threading.Timer(LIMIT_S, future.set_result, ["too late"])
    # The main thread sleeps by then, and the signal goes to the timer's.
    interrupt = threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))

    too_late.start()
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        wait(future)
    assert not future.done()
    too_late.cancel()
    for each in (too_late, interrupt):
        each.join()
