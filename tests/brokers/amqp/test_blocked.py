"""A broker that is low on memory blocks publishers: they wait, and do not hang."""

from __future__ import annotations

import pytest

from rmqlab.amqp import Publisher, Queue, Topology, fire_and_forget
from rmqlab.errors import TimeLimitError

QUEUE = "rmqlab-test-blocked"


def test_a_blocked_publisher_gives_up_in_time_and_goes_on_when_the_alarm_is_over(
    own_broker,
) -> None:
    topology = Topology(queues=[Queue(name=QUEUE)])
    with Publisher(
        own_broker, routing_key=QUEUE, topology=topology, confirms=fire_and_forget(), timeout_s=5
    ) as publisher:
        with own_broker.memory_alarm():
            publisher.publish(b"first")
            publisher.wait(0.5)
            assert publisher.blocked == "low on memory"
            with pytest.raises(TimeLimitError, match=r"blocks publishers \(low on memory\).*Next: "):
                publisher.publish(b"not taken")
        publisher.publish(b"second")
        assert publisher.blocked == ""
    own_broker.wait_for_queue(QUEUE, ready=2)
