"""The package on systems that have less than Linux: here, a Python from which it was taken away."""

from __future__ import annotations

import os

import pytest
from helpers import run_python

# What Windows has not, or not as fine: before Python 3.13, its monotonic clock goes on in steps of 15.6 ms.
WINDOWS = """if True:
    import asyncio, os, pkgutil, select, signal, time

    for module, names in {
        os: ("geteuid", "killpg"),
        select: ("epoll", "poll"),
        signal: ("SIGCONT", "SIGHUP", "SIGKILL", "SIGSTOP", "pthread_kill"),
    }.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)

    time.monotonic_ns = lambda: 0

    class Loop(asyncio.SelectorEventLoop):
        def add_reader(self, *_):
            raise NotImplementedError

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return Loop()

    asyncio.set_event_loop_policy(Policy())
"""


def test_every_module_can_be_imported() -> None:
    program = """
    import importlib
    import rmqlab

    for each in pkgutil.walk_packages(rmqlab.__path__, "rmqlab."):
        if not each.name.endswith("__main__"):
            importlib.import_module(each.name)
    """
    assert run_python("-W", "ignore", "-c", WINDOWS + program) == (0, "", "")


def test_a_link_carries_bytes_and_times_are_of_a_fine_clock() -> None:
    program = """
    import socket
    from urllib.parse import urlsplit
    from rmqlab.amqp import ConnectionEvent
    from rmqlab.broker import Link
    from rmqlab.measure import Ledger, Load

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}", delay_ms=1) as link,
        socket.create_connection(("127.0.0.1", urlsplit(link.url).port), timeout=5) as client,
    ):
        server.settimeout(5)
        peer, _ = server.accept()
        with peer:
            client.sendall(b"hello")
            peer.settimeout(5)
            assert peer.recv(5) == b"hello"
            with link.partitioned() as outage:
                pass
    ledger = Ledger()
    ledger.publisher().published(0)
    assert 0 < outage.down_ns < outage.up_ns < ConnectionEvent("lost", "worker").at_ns
    assert ledger.account().messages["published_ns"][0] > outage.up_ns
    """
    assert run_python("-W", "ignore", "-c", WINDOWS + program) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals")
def test_a_watch_on_a_terminal_needs_no_time_of_the_processor_where_it_cannot_be_polled() -> None:
    program = """if True:
    import select, time

    class Poll:
        def register(self, *_): ...
        def poll(self, *_):  # as macOS says of terminals, and at once
            return [(0, select.POLLNVAL)]

    select.poll = Poll
    from rmqlab.app.terminal import end_with_terminal

    end_with_terminal()
    before_s = time.process_time()
    time.sleep(1)
    assert time.process_time() - before_s < 0.2
    """
    ours, theirs = os.openpty()
    try:
        assert run_python("-c", program, stdin=theirs) == (0, "", "")
    finally:
        os.close(ours)
        os.close(theirs)
