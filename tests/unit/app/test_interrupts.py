"""Waits that an interrupt ends, whichever thread the system gives it to."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from rmqlab.interrupts import exit_code_of, result_of, wait_for

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


def test_a_future_gives_what_it_returns_or_raises() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert result_of(thread.submit(int, "7")) == 7
        with pytest.raises(ValueError, match="invalid literal"):
            result_of(thread.submit(int, "seven"))


def test_a_process_gives_its_exit_code() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        assert exit_code_of(process) == 3
