"""One broker for tests and notebooks: whatever `RMQLAB_BROKER` and `AMQP_URL` ask for.

pytest's fixtures do not reach the kernels of notebooks, so the broker is started before
the first test and its URL handed over in the environment. There, each kernel and each test
module takes a virtual host of its own; so several processes can share the work, with
`-n auto`, where the broker is one that was started here.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager

from rmqlab.broker import Broker, start_broker
from rmqlab.errors import RmqlabError

BROKER = pytest.StashKey[Broker]()
SOCKETS = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()
SOCKETS_FOLDER = "RMQLAB_TEST_SOCKETS"  # which the workers have from the process that starts them
# Most of a lesson is waiting for tasks that take their time.
WORKERS_A_CORE = 2
MOST_WORKERS = 8
SHORT_HEARTBEAT_S = 2
WITHOUT_BROKER = {"unit", "browser"}  # folders of tests
# The files that take longest come first, so that all processes end at about the same time.
LONGEST = (
    "A2_break_everything",
    "08_reconnect_after_failures",
    "test_programs_under_faults",
    "test_own_broker",
    "test_break_everything",
    "test_cli",
)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes share the tests; none but this one if the broker is somebody else's.

    That one may have no virtual host to give to each.
    """
    is_given = os.environ.get("AMQP_URL", "").strip() or os.environ.get("RMQLAB_BROKER") == "external"
    return 0 if is_given else min(WORKERS_A_CORE * (os.cpu_count() or 1), MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Let each kernel have sockets in a folder.

    A TCP port that was free when the kernel's start began may be another test's when it is bound.
    """
    if os.name == "posix":
        if not _is_worker(config):  # on a busy machine a worker may be killed in the end, and remove nothing
            config.stash[SOCKETS] = folder = tempfile.TemporaryDirectory(prefix="rmqlab-")
            os.environ[SOCKETS_FOLDER] = folder.name
        nbval.kernel.KernelManager = functools.partial(_manager_in, os.environ[SOCKETS_FOLDER])


@pytest.hookimpl(tryfirst=True)  # before the workers are started, which inherit the environment
def pytest_sessionstart(session: pytest.Session) -> None:
    # Which tests there are is not known yet, only where they are looked for.
    if _has_workers(session.config) and any(
        WITHOUT_BROKER.isdisjoint(Path(folder).parts) for folder in session.config.args
    ):
        _start_broker(session.config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: Path(item.path).stem not in LONGEST)


@pytest.hookimpl(tryfirst=True)  # before the terminal reports which broker it is
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if _is_worker(config) or config.option.collectonly:
        return
    if any(_needs_broker(item) for item in session.items):
        _start_broker(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    broker = config.stash.get(BROKER, None)
    if broker is not None:
        broker.stop()
    if SOCKETS in config.stash:
        config.stash[SOCKETS].cleanup()


def pytest_report_header(config: pytest.Config) -> list[str]:
    return _said(config) if _has_workers(config) else []


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return _said(config) or ["broker: none needed"]


@pytest.fixture(scope="session")
def session_broker(pytestconfig: pytest.Config) -> Broker | None:
    """The broker that was started for the session, if this process has started one."""
    return pytestconfig.stash.get(BROKER, None)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A corner of the session's broker that this test module has to itself."""
    with start_broker() as broker:
        yield broker


@pytest.fixture(scope="module")
def impatient() -> Iterator[Broker]:
    """A broker of its own that gives up who sends nothing for a few seconds, unless told not to."""
    with start_broker(own=True) as broker:
        broker.evaluate(f"application:set_env(rabbit, heartbeat, {SHORT_HEARTBEAT_S}).")
        yield broker


def _manager_in(folder: str, **options: object) -> KernelManager:
    file = Path(tempfile.mkdtemp(dir=folder), "kernel.json")
    return KernelManager(**options, transport="ipc", connection_file=str(file))


def _has_workers(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", 0)) and not _is_worker(config)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _start_broker(config: pytest.Config) -> None:
    try:
        broker = start_broker()
    except RmqlabError as error:
        pytest.exit(f"rmqlab: {error}", returncode=1)
    config.stash[BROKER] = broker
    os.environ.update(broker.environment())


def _said(config: pytest.Config) -> list[str]:
    broker = config.stash.get(BROKER, None)
    return [f"broker: RabbitMQ {broker.version}, source: {broker.source}"] if broker else []


def _needs_broker(item: pytest.Item) -> bool:
    is_notebook = Path(item.path).suffix == ".ipynb"
    return (
        is_notebook
        or "broker" in getattr(item, "fixturenames", ())
        or bool(item.get_closest_marker("broker"))
    )
