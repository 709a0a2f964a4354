"""Many messages through publisher, confirm, consumer and ledger: none lost, little memory."""

from __future__ import annotations

import json

from helpers import run_python

MESSAGES = 50_000
PEAK_MIB = 400

RUN = """
import dataclasses, json, resource, sys
from rmqlab.amqp import Consumer, Publisher, Queue, Topology, ack_every
from rmqlab.broker import start_broker
from rmqlab.measure import Ledger, Load, publish_load

count = int(sys.argv[1])
with start_broker() as broker:
    topology = Topology(queues=[Queue(name="rmqlab-many")])
    topology.delete(broker)
    topology.declare(broker)
    ledger = Ledger()
    with Publisher(broker, routing_key="rmqlab-many", observer=ledger.publisher()) as publisher:
        publish_load(publisher, Load(count, size_bytes=256))
    with Consumer(
        broker, "rmqlab-many", ack=ack_every(100), prefetch_count=1000, observer=ledger.consumer()
    ) as consumer:
        consumer.run(count=count, idle_s=20)
    topology.delete(broker)
kib = 1024 if sys.platform == "darwin" else 1  # ru_maxrss is in bytes there
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / kib
print(json.dumps(dataclasses.asdict(ledger.totals()) | {"peak_mib": peak_mib}))
"""


def test_many_messages_go_through_and_none_is_lost_or_doubled(broker) -> None:
    code, out, err = run_python("-c", RUN, str(MESSAGES), **broker.environment())
    assert code == 0, err
    found = json.loads(out)

    for what in ("published", "confirmed", "received", "unique", "acked"):
        assert found[what] == MESSAGES, what
    for what in ("lost_confirmed", "lost_unconfirmed", "duplicated", "nacked"):
        assert found[what] == 0, what
    assert found["peak_mib"] < PEAK_MIB
