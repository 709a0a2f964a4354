"""Many messages through publisher, confirm, consumer and ledger: none lost, little memory.

Fifty thousand by default. The million, which takes a minute or two:

    RMQLAB_MESSAGES=1000000 make test-brokers ARGS="-k many_messages --junit-xml=build/many.xml"
"""

from __future__ import annotations

import json
import os

from helpers import run_python

MESSAGES = int(os.environ.get("RMQLAB_MESSAGES", "50000"))
PEAK_MIB = 400
LIMIT_S = 60 + MESSAGES / 2000

RUN = """
import contextlib, dataclasses, json, resource, sys, time
from rmqlab.amqp import Consumer, Publisher, Queue, Topology, ack_every
from rmqlab.broker import start_broker
from rmqlab.measure import Ledger, Load, publish_load

count = int(sys.argv[1])
with start_broker() as broker:
    topology = Topology(queues=[Queue(name="rmqlab-many")])
    topology.delete(broker)
    topology.declare(broker)
    ledger, load = Ledger(), Load(count)
    started = time.perf_counter()
    with Publisher(broker, routing_key="rmqlab-many", observer=ledger.publisher()) as publisher:
        publish_load(publisher, load)
    with Consumer(
        broker, "rmqlab-many", ack=ack_every(100), prefetch_count=1000, observer=ledger.consumer()
    ) as consumer:
        consumer.run(count=count, idle_s=20)
    seconds = time.perf_counter() - started
    totals = dataclasses.asdict(ledger.totals())
    topology.delete(broker)
kib = 1024 if sys.platform == "darwin" else 1  # ru_maxrss is in bytes there
print(json.dumps(totals | {
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / kib,
    "us_per_message": seconds / count * 1e6,
}))
"""


def test_many_messages_go_through_and_none_is_lost_or_doubled(broker, record_property) -> None:
    code, out, err = run_python("-c", RUN, str(MESSAGES), limit_s=LIMIT_S, **broker.environment())
    assert code == 0, err
    found = json.loads(out)
    for what in ("us_per_message", "peak_mib"):
        record_property(what, round(found[what], 1))

    for what in ("published", "confirmed", "received", "unique", "acked"):
        assert found[what] == MESSAGES, what
    for what in ("lost_confirmed", "lost_unconfirmed", "duplicated", "nacked"):
        assert found[what] == 0, what
    assert found["peak_mib"] < PEAK_MIB
