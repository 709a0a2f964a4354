"""What the fault experiment finds, on a broker of its own."""

from __future__ import annotations

from typing import Any

import pytest

from rmqlab.broker import OwnBroker
from rmqlab.experiments import FaultsConfig, break_everything

RECOVER_S = 15  # a generous bound for machines that are busy; the median is far below


@pytest.mark.parametrize(
    "changes",
    [
        {"faults": ("kill",), "clients": ("rmqlab, window 100",), "queue_types": ("classic", "quorum")},
        {"faults": ("restart",), "clients": ("rmqlab, window 100",)},
        {
            "faults": ("dropped connections",),
            "clients": ("rmqlab", "rmqlab, window 100", "aio-pika", "kombu"),
        },
    ],
    ids=lambda changes: changes["faults"][0],
)
def test_nothing_that_is_confirmed_is_lost(own_broker: OwnBroker, changes: dict[str, Any]) -> None:
    trials = break_everything(own_broker, FaultsConfig.quick(**changes)).rows
    assert len(trials) >= len(changes["clients"])

    bad = trials[trials["hung"] | (trials["error"] != "")]
    assert bad.empty, bad.to_dict("records")
    assert (trials["confirmed"] == trials["published"]).all()
    assert (trials["confirmed"] > 0).all()
    assert not trials[["lost_confirmed", "unconfirmed", "gone_with_queue"]].any(axis=None)
    assert (trials["duplicated"] <= trials["republished"] + trials["redelivered"]).all()
    assert (trials[["recover_publish_s", "recover_consume_s"]] < RECOVER_S).all(axis=None)


def test_what_goes_with_a_deleted_queue_is_not_lost_by_the_client(own_broker: OwnBroker) -> None:
    config = FaultsConfig.quick(faults=("deleted queue",), clients=("rmqlab",))
    trial = break_everything(own_broker, config).rows.iloc[0]

    assert not trial["hung"], trial
    assert trial["lost_confirmed"] == trial["unconfirmed"] == 0
    assert trial["confirmed"] > trial["gone_with_queue"]
