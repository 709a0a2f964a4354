"""The programs to take home that recover: whatever happens to their broker, nothing confirmed is lost."""

from __future__ import annotations

import threading

import pytest
from helpers import eventually
from take_home import MANY, started

from rmqlab.broker import Link, OwnBroker
from rmqlab.experiments.faults.kinds import FAULTS

# A link that lets about 500 tasks a second by with a window of 100.
DELAY_MS, HEARTBEAT_S = 100, 2


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_confirmed_is_lost(own_broker: OwnBroker, fault: str) -> None:
    kind = FAULTS[fault]
    with Link(own_broker, delay_ms=DELAY_MS) as link:
        url = f"{link.url}?heartbeat={HEARTBEAT_S}"
        with (
            started("confirming_publisher", url, MANY) as publisher,
            started("recovering_worker", url) as worker,
        ):
            assert eventually(lambda: len(worker.engines("done")) > 10)
            threading.Event().wait(kind.warmup_s)
            kind.happen(own_broker, link, "engine:tasks")
            done = len(worker.engines("done"))
            assert eventually(lambda: len(worker.engines("done")) > done + 10, seconds=60)
            assert publisher.end() == 0
            with Link(own_broker) as fast, started("recovering_worker", fast) as helper:
                own_broker.wait_for_queue("engine:tasks", ready=0, timeout_s=60)
                assert worker.end() == helper.end() == 0

    confirmed = set(publisher.engines("confirmed"))
    missing = confirmed - set(worker.engines("done")) - set(helper.engines("done"))
    assert len(confirmed) > 100
    assert not missing or kind.takes_queue
