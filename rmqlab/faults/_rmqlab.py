"""What this package offers: `Publisher` and `Consumer` with a `Recovery`."""

from __future__ import annotations

import contextlib

from rmqlab.amqp import Confirms, Consumer, Publisher, Queue, Recovery, Topology, confirm_each, confirm_window
from rmqlab.errors import StoppedError
from rmqlab.faults._job import LONGEST_WAIT_S, PREFETCH, Job, Pace

WINDOW = 100


def publish_each(job: Job) -> None:
    """Wait for each message's confirm before the next, as the other clients do."""
    _publish(job, confirm_each())


def publish_window(job: Job) -> None:
    """Keep up to 100 messages unconfirmed, and so publish these again after a loss."""
    _publish(job, confirm_window(WINDOW))


def consume(job: Job) -> None:
    """Acknowledge each message, and declare the queue again where it is gone."""
    queue = Queue(name=job.queue, type=job.arguments["x-queue-type"])  # type: ignore[arg-type]
    with Consumer(
        job.url,
        job.queue,
        prefetch_count=PREFETCH,
        topology=Topology(queues=(queue,)),
        recovery=_recovery(job),
        observer=job.ledger.consumer(),
    ) as consumer:
        job.at_stop(consumer.stop)
        consumer.run()


def _publish(job: Job, confirms: Confirms) -> None:
    publisher = Publisher(
        job.url,
        routing_key=job.queue,
        confirms=confirms,
        recovery=_recovery(job),
        observer=job.ledger.publisher(),
    )
    job.at_stop(publisher.stop)
    pace = Pace(job.rate_msg_s)
    try:
        with contextlib.suppress(StoppedError), publisher:
            while not job.ending.is_set():
                publisher.wait(pace.wait_s())
                publisher.publish(job.load.body(publisher.published))
    finally:
        job.republished = publisher.republished


def _recovery(job: Job) -> Recovery:
    return Recovery(longest_wait_s=LONGEST_WAIT_S, heartbeat_s=job.heartbeat_s)
