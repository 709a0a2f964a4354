"""Do the tasks of the queue engine:tasks, and come back after whatever ends the connection.

    AMQP_URL=amqp://localhost python recovering_worker.py

Plain pika, from lesson 08. The work is done in a thread, so heartbeats go on during a long task. A lost
connection is opened again, after a random wait, and so is one whose queue was deleted. A task that was
in hand comes again: do it twice without harm. SIGTERM and Ctrl-C let the task in hand end first.
"""

import contextlib
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)
stopping = threading.Event()
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2
# A wrong password, and no such virtual host. A connection that is cut while it opens is of the same class.
REFUSALS = "ConnectionClosedByBroker: (403)", "ConnectionClosedByBroker: (530)"


def execute(task):
    """Stand in for the work."""
    time.sleep(task["data"].get("work_s", 0))


def process(body):
    task = json.loads(body)
    execute(task)
    return task["engine_id"]


def work(thread, on_connected):
    """Consume until we are to stop, or the consumer is cancelled; raise what ends the connection."""
    in_hand = set()

    def on_message(channel, method, properties, body):
        def settle_soon(future):
            with contextlib.suppress(AMQPError):  # the connection is lost: the task comes again
                connection.add_callback_threadsafe(lambda: settle(future))

        def settle(future):
            in_hand.discard(method.delivery_tag)
            if error := future.exception():
                logging.error("failed: %.100r: %r", body, error)
                channel.basic_reject(delivery_tag=method.delivery_tag, requeue=False)
            else:
                channel.basic_ack(delivery_tag=method.delivery_tag)
                logging.info("done %s", future.result())

        in_hand.add(method.delivery_tag)
        thread.submit(process, body).add_done_callback(settle_soon)

    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="engine:tasks", durable=True)
        channel.basic_qos(prefetch_count=1)
        consumer_tag = channel.basic_consume(queue="engine:tasks", on_message_callback=on_message)
        on_connected()
        while channel.is_open and channel.consumer_tags and not stopping.is_set():
            connection.process_data_events(time_limit=0.2)
        if channel.is_open:
            channel.basic_cancel(consumer_tag)
        while channel.is_open and in_hand:
            connection.process_data_events(time_limit=0.2)


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    wait_s = FIRST_WAIT_S

    def on_connected():
        nonlocal wait_s
        wait_s = FIRST_WAIT_S

    with ThreadPoolExecutor(1) as thread:
        while not stopping.is_set():
            try:
                work(thread, on_connected)
            # The last two: who takes the connection does not answer, or the name does not resolve.
            except (AMQPError, AMQPConnectorException, OSError) as error:
                if any(refusal in str(error) for refusal in REFUSALS):
                    logging.error("refused: %r", error)  # no retry can mend that
                    return 1
                logging.warning("the connection is lost: %r", error)
            stopping.wait(random.uniform(0, wait_s))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
