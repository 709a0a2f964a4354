"""The playground on a broker of its own: it does what it is told, and leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from helpers import clients_of, eventually

from rmqlab.broker import OwnBroker
from rmqlab.errors import TimeLimitError
from rmqlab.playground import Playground


@pytest.fixture
def playground(own_broker: OwnBroker) -> Iterator[Playground]:
    before = set(threading.enumerate())
    with Playground(own_broker) as playground:
        yield playground
    assert eventually(lambda: set(threading.enumerate()) <= before)
    assert own_broker.queues().empty
    assert eventually(lambda: clients_of(own_broker) <= {"rmqlab itself"})


def test_a_name_that_there_is_not_is_said(playground: Playground) -> None:
    with pytest.raises(ValueError, match=r"no setting 'speed'\. Next: take one of rate_msg_s"):
        playground.change(speed=3)
    with pytest.raises(ValueError, match=r"no button 'Kill'\. Next: take one of Kill a worker"):
        playground.act("Kill")
    with pytest.raises(TimeLimitError, match=r"not so within 0\.1 s"):
        playground.wait_for(lambda _: False, timeout_s=0.1)


def test_a_queue_grows_and_is_worked_off(playground: Playground) -> None:
    playground.change(rate_msg_s=200, workers=1, work_ms=100)
    assert playground.wait_for(lambda sample: (sample.ready or 0) >= 100).wait_p95_ms
    playground.change(workers=8, work_ms=0)
    playground.wait_for(lambda sample: sample.ready == 0 and sample.settings.rate_msg_s == 200)
    met = {words.split(" ")[0] for words in playground.met}
    assert {"Let", "Have"} <= met


def test_what_a_killed_worker_held_is_lost_if_it_acknowledges_automatically(
    playground: Playground,
) -> None:
    for ack, loses in (("each", False), ("automatic", True)):
        playground.change(ack=ack, prefetch=20, workers=2, work_ms=200, rate_msg_s=100)
        before = playground.wait_for(lambda sample: len(sample.hands) == 2 and max(sample.hands) >= 10)
        playground.act("Kill a worker")
        playground.wait_for(lambda sample, before=before: len(sample.kills) > len(before.kills))
        playground.change(rate_msg_s=0, workers=4, work_ms=0)
        quiet = playground.wait_for(lambda sample: sample.is_quiet)

        assert (quiet.lost > before.lost) == loses
    assert sum(words.startswith(("Lose", "Make that")) for words in playground.met) == 2


def test_it_goes_on_after_each_trouble(playground: Playground) -> None:
    playground.change(rate_msg_s=50, work_ms=5)
    for trouble in ("Freeze the broker", "Cut the network", "Drop its connection", "Poison a task"):
        playground.wait_for(lambda sample: sample.done_msg_s > 20)
        playground.act(trouble)
        if trouble in ("Freeze the broker", "Cut the network"):
            playground.wait_for(lambda sample: sample.done_msg_s == 0)
    poisoned = playground.wait_for(lambda sample: sample.redelivered_msg_s > 0)
    playground.change(on_failure="reject")
    playground.wait_for(lambda sample: sample.redelivered_msg_s == 0 and sample.time_s > poisoned.time_s)
    playground.act("Empty the queue")
    playground.wait_for(lambda sample: sample.emptied == 1 and sample.done_msg_s > 20)


def test_it_can_be_closed_while_its_broker_is_frozen(own_broker: OwnBroker) -> None:
    with Playground(own_broker) as playground:
        playground.wait_for(lambda sample: sample.done_msg_s > 0)
        playground.act("Freeze the broker")
        playground.wait_for(lambda sample: sample.freezes == 1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rmqlab-playground")]
