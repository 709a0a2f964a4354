"""A connection for each message against one that stays open."""

from __future__ import annotations

from rmqlab.broker import Broker
from rmqlab.experiments import ConnectionsConfig, measure_connections
from rmqlab.experiments.connections import FOR_EACH, STAYS_OPEN


def test_a_connection_for_each_message_is_compared_with_one_that_stays_open(broker: Broker) -> None:
    result = measure_connections(broker, ConnectionsConfig.quick(messages=5, rounds=3))

    runs = result.frame()
    ratios = runs.pivot(index="round", columns="variant", values="ratio")
    assert list(ratios.index) == [1, 2, 3]
    assert (ratios[STAYS_OPEN] == 1).all()
    assert ratios[FOR_EACH].median() > 1
    assert set(runs["rabbitmq"]) == {broker.version}
    (axes,) = result.plot().axes
    assert axes.get_title(loc="left").startswith("A connection for each message takes ")
    assert not broker.queues()["name"].str.startswith("rmqlab-clients").any()
