"""What tests of several folders share: waiting, programs and their environment, messages, remains."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pika
import psutil
import pytest

from rmqlab.broker import Broker
from rmqlab.broker._node import MARK
from rmqlab.broker._start import check_sources
from rmqlab.interrupts import wait_until
from rmqlab.measure import Ledger
from rmqlab.measure._header import HEADER

SECRET = "s3cr3t"
QUEUE = "rmqlab-test"  # of the fixture `queue`
SETTINGS = ("AMQP_URL", "RMQLAB_BROKER", "RMQLAB_OWN_BROKER", "RMQLAB_MANAGEMENT_URL")
OWN = ("node", "container")  # the sources that start a broker


def eventually(look: Callable[[], object], *, seconds: float = 20) -> bool:
    """Look again and again until something is so; return whether it came to be."""
    return wait_until(lambda: bool(look()), seconds)


# --- messages ---------------------------------------------------------------------------------


def body_of(number: int) -> bytes:
    """Return the body of a load's message."""
    return HEADER.pack(number, 0)


def ledger_of(*events: tuple[Any, ...]) -> Ledger:
    """Make a ledger of (time_s, what happened, message, consumer, whether it was redelivered)."""
    now_ns = 0
    ledger = Ledger(clock=lambda: now_ns)
    publisher = ledger.publisher()
    consumers: dict[str, Any] = {}
    tags: dict[tuple[str, int], int] = {}
    for time_s, event, message, *rest in events:
        now_ns = round(time_s * 1e9)
        if event == "published":
            publisher.published(message)
        elif event == "confirmed":
            publisher.confirmed(message)
        else:
            name = rest[0]
            if name not in consumers:
                consumers[name] = ledger.consumer(name)
            if event == "delivered":
                tags[name, message] = len(consumers[name]) + 1
                consumers[name].delivered(tags[name, message], len(rest) > 1, None, body_of(message))
            else:
                consumers[name].settled(tags[name, message], False, event)
    return ledger


def take_all(channel: Any, queue: str) -> list[bytes]:
    """Take all messages from a queue, and return their bodies."""
    found = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append(got[2])
    return found


@contextlib.contextmanager
def channel_to(broker: Broker | str) -> Iterator[Any]:
    """Return a channel of plain pika, with confirms."""
    url = broker if isinstance(broker, str) else broker.url
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


# --- errors -----------------------------------------------------------------------------------


def assert_one_sentence(message: str, clue: str, *, next_step: str = "", secret: str = SECRET) -> None:
    """See that a message is one line with its cause and the next step, and without a password."""
    said, _, advice = message.partition(". Next: ")
    assert re.search(clue, said), message
    assert next_step in advice
    assert message.count("Next: ") == 1
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    assert secret not in message


# --- programs ---------------------------------------------------------------------------------


@contextlib.contextmanager
def running(
    *arguments: str,
    stdin: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    under: tuple[str, ...] = (),
    cwd: Path | None = None,
    limit_s: float = 120,
    **settings: str,
) -> Iterator[subprocess.Popen[str]]:
    """Run Python without the session's settings; it ends with the block, and after its limit at most."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    with subprocess.Popen(
        [*under, sys.executable, *arguments],
        env=inherited | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | settings,
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            limit.join()
            process.kill()


def run_python(*arguments: str, stdin: int = subprocess.DEVNULL, **options: Any) -> tuple[int, str, str]:
    """Run Python with the options of `running`; return its exit code, standard output and standard error."""
    with running(*arguments, stdin=stdin, **options) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def run_command(*arguments: str, **options: Any) -> tuple[int, str, str]:
    """Run `rmqlab`; return its exit code, standard output and standard error."""
    return run_python("-m", "rmqlab", *arguments, **options)


def read_until(stream: IO[str] | None, clue: str) -> str:
    """Read lines up to one with the clue."""
    assert stream
    shown = ""
    for line in stream:
        shown += line
        if clue in line:
            return shown
    raise AssertionError(f"nothing with {clue!r} in {shown!r}")


def clients_of(broker: Broker) -> set[str]:
    """Return how those call themselves who have a connection to a broker, or what they are."""
    with broker._running.management() as management:
        clients = [each.get("client_properties", {}) for each in management.list("connections")]
    return {client.get("connection_name") or client.get("product", "unknown") for client in clients}


# --- brokers that are started, and what they leave ------------------------------------------------


def require(source: str) -> None:
    """Skip a test where a source cannot be used, unless `RMQLAB_MUST_TEST` names it."""
    check = check_sources()[source]
    if not check.usable:
        if source in os.environ.get("RMQLAB_MUST_TEST", "").split():
            pytest.fail(f"{source} has to be tested here: {check.detail}; {check.fix}")
        pytest.skip(f"{source}: {check.detail}")


def remains_of(source: str, resources: dict[str, str]) -> Callable[[], bool]:
    """Return a function that says whether anything is left of a broker that runs now."""
    if source == "container":
        return lambda: container(resources["container"]) is not None
    folder = Path(resources["folder"])
    return lambda: folder.exists() or bool(processes_of(folder))


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes of the node that has this folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def container(name: str) -> dict[str, Any] | None:
    """Return what the engine says of a container; None if there is none of that name."""
    import docker
    from docker.errors import APIError

    with contextlib.closing(docker.from_env(timeout=30)) as client:
        try:
            return client.containers.get(name).attrs
        except APIError as error:
            # Podman answers 500 about a container that it is just removing.
            if error.status_code != 404 and "no such container" not in str(error):
                raise
            return None


def assert_figure_is_complete(figure: Any, *titles: str) -> None:
    """Assert that a figure can be stored, is labeled, has these titles, and is not left open in pyplot."""
    import io

    import matplotlib.pyplot as plt

    figure.savefig(io.BytesIO())
    assert plt.get_fignums() == []
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(titles)
    assert any(axes.get_xlabel() for axes in figure.axes) or figure.get_supxlabel()
    assert any(axes.get_ylabel() or axes.get_yticklabels() for axes in figure.axes)
