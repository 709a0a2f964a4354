"""Brokers that these tests start themselves, and one that somebody else runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
from foreign_broker import ForeignBroker
from helpers import OWN, require

from rmqlab.broker import Broker, start_broker
from rmqlab.broker._start import check_sources


@pytest.fixture(autouse=True)
def _no_settings(no_settings: None) -> None:
    """Forget the session's broker."""


@pytest.fixture(scope="session")
def started(session_broker: Broker | None) -> Iterator[Callable[[str], Broker]]:
    """Yield what returns one broker of a source for all tests here, and starts it when first needed."""
    with contextlib.ExitStack() as stack:
        brokers: dict[str, Broker] = {session_broker.source: session_broker} if session_broker else {}

        def started(source: str) -> Broker:
            if source not in brokers:
                require(source)
                brokers[source] = stack.enter_context(start_broker(source))
            return brokers[source]

        yield started


@pytest.fixture
def host(started: Callable[[str], Broker]) -> Broker:
    """A broker to be the one that somebody else runs: any that can be had."""
    checks = check_sources()
    return started(next((source for source in OWN if checks[source].usable), OWN[0]))


@pytest.fixture
def foreign(host: Broker) -> Iterator[ForeignBroker]:
    with contextlib.closing(ForeignBroker(host)) as foreign:
        yield foreign


@pytest.fixture
def as_user(foreign: ForeignBroker) -> Iterator[ForeignBroker]:
    """The same, with the settings of a user who has no tag."""
    with patch.dict(os.environ, foreign.environment("user")):
        yield foreign


@pytest.fixture
def as_administrator(foreign: ForeignBroker) -> Iterator[ForeignBroker]:
    """The same, with the settings of a user who may do everything."""
    with patch.dict(os.environ, foreign.environment("administrator")):
        yield foreign
