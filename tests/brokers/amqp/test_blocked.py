"""A broker that is low on memory blocks publishers: they wait, and do not hang."""

from __future__ import annotations

import pytest

from rmqlab.amqp import Publisher, Queue, Topology, confirm_each, fire_and_forget
from rmqlab.errors import TimeLimitError

QUEUE = "rmqlab-test-blocked"
TOPOLOGY = Topology(queues=(Queue(name=QUEUE),))


@pytest.mark.parametrize("confirms", [confirm_each(), fire_and_forget()], ids=str)
def test_a_blocked_publisher_gives_up_at_its_time_limit(own_broker, confirms) -> None:
    TOPOLOGY.declare(own_broker)
    with (
        own_broker.memory_alarm(),
        pytest.raises(TimeLimitError, match=r"blocks publishers \(low on memory\).*Next: "),
        Publisher(own_broker, routing_key=QUEUE, confirms=confirms, timeout_s=1) as publisher,
    ):
        while True:
            publisher.publish(b"x")


def test_a_publisher_goes_on_when_the_alarm_is_over(own_broker) -> None:
    TOPOLOGY.delete(own_broker)
    with Publisher(
        own_broker, routing_key=QUEUE, topology=TOPOLOGY, confirms=fire_and_forget(), timeout_s=60
    ) as publisher:
        with own_broker.memory_alarm():
            publisher.publish(b"first")
            publisher.wait(0.5)
            assert publisher.blocked == "low on memory"
        publisher.publish(b"second")
        assert publisher.blocked == ""
    own_broker.wait_for_queue(QUEUE, ready=2)
