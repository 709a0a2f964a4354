"""Publish each task with a routing key of its own, and lose none that no queue wants.

    AMQP_URL=amqp://localhost python router.py high-priority 100

Plain pika, from lesson 03. Tasks go to the exchange engine:routing. What no binding catches goes to its
alternate exchange, and from there to the queue engine:unrouted. A task that not even that queue gets
is returned, as it is mandatory: the program logs it and ends with exit code 1.
"""

import json
import logging
import os
import signal
import sys

import pika

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)


def declare(channel):
    channel.exchange_declare(exchange="engine:unrouted", exchange_type="fanout", durable=True)
    channel.queue_declare(queue="engine:unrouted", durable=True)
    channel.queue_bind(queue="engine:unrouted", exchange="engine:unrouted")
    channel.exchange_declare(
        exchange="engine:routing",
        exchange_type="direct",
        durable=True,
        arguments={"alternate-exchange": "engine:unrouted"},
    )


def route(key, count):
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        declare(channel)
        for number in range(count):
            task = {"engine_id": f"engine-{number}", "action": "process", "data": {"number": number}}
            channel.basic_publish(
                exchange="engine:routing",
                routing_key=key,
                body=json.dumps(task),
                properties=pika.BasicProperties(delivery_mode=2),
                mandatory=True,
            )
            logging.info("confirmed %s", task["engine_id"])


def main(key, count):
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        route(key, count)
    except KeyboardInterrupt:
        logging.info("stopped")
    except pika.exceptions.UnroutableError as error:
        logging.error("no queue wants %r", error.messages[0].body)
        return 1
    except (pika.exceptions.AMQPError, OSError) as error:
        logging.error("cannot go on: %r", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
