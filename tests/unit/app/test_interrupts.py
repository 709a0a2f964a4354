"""Waits that an interrupt ends, whichever thread the system gives it to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from rmqlab.interrupts import result_of, wait_for

LIMIT_S = 20  # of a wait that an interrupt does not end


@pytest.fixture
def limited() -> Iterator[Future[str]]:
    future: Future[str] = Future()
    timer = threading.Timer(LIMIT_S, future.set_result, ["too late"])
    timer.start()
    yield future
    timer.cancel()
    timer.join()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no thread can be sent a signal here")
@pytest.mark.usefixtures("interrupts_as_in_a_terminal")
@pytest.mark.parametrize(
    "wait",
    [result_of, lambda future: wait_for(lambda seconds: threading.Event().wait(seconds) or future.done())],
    ids=["result_of", "wait_for"],
)
def test_an_interrupt_that_another_thread_gets_ends_a_wait(
    limited: Future[str], wait: Callable[[Future[str]], object]
) -> None:
    def interrupt() -> None:
        threading.Event().wait(0.3)  # the main thread sleeps by then
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    other = threading.Thread(target=interrupt)

    with pytest.raises(KeyboardInterrupt):
        other.start()
        wait(limited)
    assert not limited.done()
    other.join()
