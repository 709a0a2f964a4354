"""What an engine goes through when its broker is really broken, as in lesson 08."""

from __future__ import annotations

import threading
import time

import pytest
from helpers import eventually

from rmqlab.amqp import ConnectionEvent, Recovery
from rmqlab.broker import Link, OwnBroker
from rmqlab.engine import EngineWorker
from rmqlab.errors import BrokerError
from rmqlab.experiments import RecoveryConfig, run_with_faults

pytestmark = pytest.mark.usefixtures("quiet_log")


def test_what_is_not_well_again_within_the_time_limit_is_an_error(own_broker: OwnBroker) -> None:
    config = RecoveryConfig(
        faults={"closed": own_broker.close_connections},
        recovery=Recovery(first_wait_s=30, longest_wait_s=30),
        execute=lambda _: time.sleep(3),  # while it works, no task is done
        workers=1,
        steady_s=0,
        timeout_s=1,
    )

    with pytest.raises(BrokerError, match="Not all was well again within 1 s"):
        run_with_faults(own_broker, config, progress=False)


def test_a_worker_is_stopped_while_it_shakes_hands(broker) -> None:
    """A network that is cut takes its new connection, and answers nothing until it is whole again."""
    events: list[ConnectionEvent] = []
    with Link(broker) as link:
        worker = EngineWorker(link.url, print, recovery=Recovery(on_event=events.append))
        running = threading.Thread(target=worker.run)
        running.start()
        broker.wait_for_queue("engine:tasks", consumers=1)
        with link.partitioned():
            link.drop()
            assert eventually(lambda: events)  # it is lost, and tries again
            time.sleep(0.3)
            started_s = time.monotonic()
            worker.stop()
            running.join(10)
            worker.close()
            assert not running.is_alive()
            assert time.monotonic() - started_s < 5
