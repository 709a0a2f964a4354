"""Fixtures of several folders; helpers that are plain functions stand in `helpers.py`."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import psutil
import pytest
from helpers import QUEUE, SETTINGS, channel_to

from rmqlab import names
from rmqlab.broker import Broker, start_broker

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("rmqlab", deadline=None, database=None)
hypothesis.settings.load_profile("rmqlab")


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the session's broker, for tests that choose their own."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def channel(broker: Broker) -> Iterator[Any]:
    """A channel of plain pika on the session's broker."""
    with channel_to(broker) as channel:
        yield channel


@contextlib.contextmanager
def _fresh_queue(channel: Any, name: str) -> Iterator[None]:
    channel.queue_delete(name)
    channel.queue_declare(name, durable=True)
    yield
    channel.queue_delete(name)


@pytest.fixture
def queue(channel: Any) -> Iterator[str]:
    """A durable queue that is empty, and goes with the test."""
    with _fresh_queue(channel, QUEUE):
        yield QUEUE


@pytest.fixture
def tasks(channel: Any) -> Iterator[Any]:
    """A channel of plain pika, and an `engine:tasks` that is empty."""
    with _fresh_queue(channel, names.TASKS):
        yield channel


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A broker for this file alone, to be broken."""
    with start_broker(own=True) as broker:
        yield broker


@pytest.fixture
def interrupts_as_in_a_terminal() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt: a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """See that a test leaves no thread, and no process of a pool."""
    before = _threads_and_processes()
    yield
    assert _threads_and_processes() <= before


def _threads_and_processes() -> set[object]:
    """Return what there is but for the daemon that tqdm keeps from its first bar on."""
    threads = {each for each in threading.enumerate() if each.name != "tqdm_monitor"}
    return threads | set(multiprocessing.active_children())


@pytest.fixture
def no_link_stays(nothing_stays: None) -> Iterator[None]:
    """See that a test leaves no thread and no socket of a link."""
    before = _sockets()
    yield
    assert _sockets() <= before


def _sockets() -> set[int]:
    return {connection.fd for connection in psutil.Process().net_connections("tcp")}


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Keep what pika and a recovery say of broken connections out of the report."""
    loggers = [logging.getLogger(name) for name in ("pika", "rmqlab.amqp")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
