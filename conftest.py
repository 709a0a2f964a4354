"""Give tests and notebooks one broker: whatever `RMQLAB_BROKER` and `AMQP_URL` ask for.

pytest's fixtures do not reach the kernels of notebooks, so the broker is started before
the first test and its URL handed over in the environment. There, each kernel and each test
module takes a virtual host of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqlab.broker import Broker, start_broker
from rmqlab.errors import RmqlabError

ENVIRONMENT_AT_START = pytest.StashKey[dict[str, str]]()
BROKER = pytest.StashKey[Broker]()


@pytest.hookimpl(tryfirst=True)  # before the terminal reports which broker it is
def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not any(_needs_broker(item) for item in session.items):
        return
    try:
        broker = start_broker()
    except RmqlabError as error:
        pytest.exit(f"rmqlab: {error}", returncode=1)
    session.config.stash[BROKER] = broker
    session.config.stash[ENVIRONMENT_AT_START] = dict(os.environ)
    os.environ.update(broker.environment())


def pytest_unconfigure(config: pytest.Config) -> None:
    broker = config.stash.get(BROKER, None)
    if broker is not None:
        broker.stop()


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    broker = config.stash.get(BROKER, None)
    return f"broker: RabbitMQ {broker.version}, source: {broker.source}" if broker else "broker: none needed"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A corner of the session's broker that this test module has to itself."""
    with start_broker() as broker:
        yield broker


def _needs_broker(item: pytest.Item) -> bool:
    is_notebook = Path(item.path).suffix == ".ipynb"
    return (
        is_notebook
        or "broker" in getattr(item, "fixturenames", ())
        or bool(item.get_closest_marker("broker"))
    )
