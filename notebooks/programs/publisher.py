"""Publish tasks into the queue engine:tasks, and say how many were confirmed.

    AMQP_URL=amqp://localhost python publisher.py 100

Plain pika, from lesson 01. It waits for each task's confirm. When its connection is lost, or the
broker refuses, it ends with exit code 1, and says how many tasks were confirmed.
"""

import json
import logging
import os
import signal
import sys

import pika

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)


def publish(tasks):
    """Publish tasks, each once the one before is confirmed; count them as they are."""
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue="engine:tasks", durable=True)
        for task in tasks:
            channel.basic_publish(
                exchange="",
                routing_key="engine:tasks",
                body=json.dumps(task),
                properties=pika.BasicProperties(delivery_mode=2),
            )
            yield task


def main(count):
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    tasks = ({"engine_id": f"engine-{n}", "action": "process", "data": {"number": n}} for n in range(count))
    confirmed = 0
    try:
        for task in publish(tasks):
            confirmed += 1
            logging.info("confirmed %s", task["engine_id"])
    except KeyboardInterrupt:
        pass
    except (pika.exceptions.AMQPError, OSError) as error:
        logging.error("cannot go on: %r", error)
        return 1
    finally:
        logging.info("%s of %s tasks confirmed", confirmed, count)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
