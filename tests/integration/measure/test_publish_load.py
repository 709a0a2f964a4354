"""A load is published to a real broker."""

from __future__ import annotations

import itertools

import pytest

from rmqlab.amqp import Publisher
from rmqlab.measure import Load, publish_load


@pytest.mark.parametrize("rate_msg_s", [None, 10_000])
def test_a_load_can_be_ended_before_its_end(broker, channel, rate_msg_s, capsys) -> None:
    queue = channel.queue_declare("", exclusive=True).method.queue
    load = Load(1000, rate_msg_s=rate_msg_s)
    with Publisher(broker, routing_key=queue) as publisher:
        for progress in (False, True):  # each call counts its own
            asked = itertools.count(1)
            count = publish_load(
                publisher, load, until=lambda asked=asked: next(asked) > 7, progress=progress
            )
            assert count == 7
            assert ("7message" in capsys.readouterr().out) == progress

    assert publisher.confirmed == 14
