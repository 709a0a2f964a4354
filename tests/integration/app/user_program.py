"""The public API as a program would use it: mypy reads it, and a test runs it."""

from __future__ import annotations

from typing import assert_type

import pandas as pd
import pika

import rmqlab
from rmqlab import engine, experiments, measure
from rmqlab.amqp import Consumer, Publisher, Queue, Recovery, Topology, ack_every, confirm_window
from rmqlab.broker import Broker, Link, Outage, OwnBroker

TOPOLOGY = Topology(queues=(Queue(name="rmqlab-user"),))


def send_and_take(broker: Broker, count: int = 10) -> pd.DataFrame:
    """Publish messages, consume them, and report how long they took."""
    load, ledger = measure.Load(count, rate_msg_s=1000), measure.Ledger()
    recovery = Recovery(timeout_s=10)
    publishing = ledger.publisher(identify=load.identify)
    with Publisher(
        broker,
        routing_key="rmqlab-user",
        confirms=confirm_window(5),
        topology=TOPOLOGY,
        recovery=recovery,
        observer=publishing,
    ) as publisher:
        assert_type(measure.publish_load(publisher, load), int)

    def work(method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes) -> None:
        assert load.identify(properties, body) >= 0

    consuming = ledger.consumer(identify=load.identify)
    with Consumer(broker, "rmqlab-user", work, ack=ack_every(5), observer=consuming) as consumer:
        assert_type(consumer.run(count=count, for_s=30), int)
    TOPOLOGY.delete(broker)
    return measure.Report.of(ledger).latency()


def call_the_engine(broker: Broker) -> list[engine.Task]:
    """Publish a task with the engine, and let a worker do it."""
    done: list[engine.Task] = []
    with engine.EngineAPI(broker) as api, engine.EngineWorker(broker, done.append) as worker:
        api.publish_task(engine.Task("engine-1", "process", {"recording_min": 1}))
        worker.run(count=1, for_s=30)
    return done


def run_experiments(broker: Broker) -> pd.DataFrame:
    """Run a workload with one worker and with two."""
    workload = experiments.make_workload(20, measure.ConstantDuration(0.001))
    configs = {each: experiments.WorkloadConfig(workload=workload, workers=each) for each in (1, 2)}
    result = experiments.run_workload(broker, configs, by="workers", progress=False)
    return assert_type(result, experiments.Result).frame()


def break_it(own: OwnBroker) -> Outage:
    """Break a broker that is ours."""
    with Link(own, delay_ms=1) as link, link.partitioned():
        pass
    assert_type(rmqlab.start_broker(own=True), OwnBroker).stop()
    return own.kill()
