"""Do the tasks of the queue engine:tasks, one after another.

    AMQP_URL=amqp://localhost python worker.py

Plain pika, from lesson 05. A task is acknowledged when its work is done, and not before. A task whose
work fails is logged and rejected: it goes to the queue's dead letters, if the queue has any. SIGTERM
and Ctrl-C let the task in hand end first. When its connection is lost it ends with exit code 1.
"""

import json
import logging
import os
import signal
import sys
import threading
import time

import pika

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)
stopping = threading.Event()


def execute(task):
    """Stand in for the work."""
    time.sleep(task["data"].get("work_s", 0))


def process_task(channel, method, properties, body):
    try:
        task = json.loads(body)
        engine_id = task["engine_id"]
        execute(task)
    except Exception:  # whatever the work raises, the worker goes on
        logging.exception("failed: %.100r", body)
        channel.basic_reject(delivery_tag=method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(delivery_tag=method.delivery_tag)
        logging.info("done %s", engine_id)


def work():
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="engine:tasks", durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue="engine:tasks", on_message_callback=process_task)
        while channel.is_open and channel.consumer_tags and not stopping.is_set():
            connection.process_data_events(time_limit=0.5)
    if not stopping.is_set():
        raise pika.exceptions.ConsumerCancelled("by the broker, as when the queue is deleted")


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        work()
    except (pika.exceptions.AMQPError, OSError) as error:
        logging.error("cannot go on: %r", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
