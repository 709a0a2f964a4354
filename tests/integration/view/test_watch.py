"""The live view follows a broker, and leaves nothing behind."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import eventually

from rmqlab import names, watch
from rmqlab.amqp._diagram import INK
from rmqlab.broker import Broker, start_broker
from rmqlab.view._watch import LATE


@pytest.fixture
def view(broker: Broker, tasks: Any) -> Iterator[Any]:
    view = watch(broker)
    yield view
    view.close()


def _words(view: Any) -> list[str]:
    return re.findall("([^<>]+)</text>", view.picture)


def _watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rmqlab-watch"]


def test_it_follows_what_is_ready_and_who_consumes(view: Any, tasks: Any) -> None:
    for _ in range(3):
        tasks.basic_publish("", names.TASKS, b"task")
    assert eventually(lambda: "3 ready" in _words(view))
    tasks.basic_qos(prefetch_count=1)
    tasks.basic_consume(names.TASKS, lambda *_: None)
    assert eventually(lambda: {"2 ready", "1 now"} <= set(_words(view)))
    assert names.TASKS in view.picture


def test_what_the_statistics_say_is_late_and_says_so(view: Any, tasks: Any) -> None:
    tasks.basic_publish("", names.TASKS, b"task")
    tasks.basic_consume(names.TASKS, lambda *_: None)
    assert eventually(lambda: any(words.startswith("1 unacked, ") for words in _words(view)), seconds=15)
    assert re.search(f'fill="{LATE}"[^<>]*>1 unacked, ', view.picture)
    assert re.search(f'fill="{INK}"[^<>]*>0 ready', view.picture)


def test_queues_that_come_go_or_are_another_s_are_no_trouble(view: Any, tasks: Any) -> None:
    tasks.queue_declare("engine:unrouted", exclusive=True)
    assert eventually(lambda: "exclusive, or gone" in _words(view))
    tasks.queue_delete(names.TASKS)
    assert eventually(lambda: names.TASKS not in view.picture)
    tasks.queue_declare(names.TASKS, durable=True)
    assert eventually(lambda: names.TASKS in view.picture and "0 ready" in _words(view))


def test_a_second_view_of_a_broker_ends_the_first(view: Any, broker: Broker) -> None:
    second = watch(broker)
    assert len(_watchers()) == 1
    second.close()
    assert not _watchers()


def test_it_ends_with_its_broker() -> None:
    with start_broker() as other:
        view = watch(other)
        assert eventually(lambda: bool(view.picture))
    assert eventually(lambda: not _watchers())
    assert view.words == "The broker is stopped."
