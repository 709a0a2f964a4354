"""Log the events of the exchange engine:events.

    AMQP_URL=amqp://localhost python subscriber.py [name]

Plain pika, from lesson 02. With a name, the subscriber has the durable queue engine:events:NAME: it
gets what was published while it was away. Without one, its queue goes with its connection. SIGTERM and
Ctrl-C end it. When its connection is lost it ends with exit code 1.
"""

import logging
import os
import signal
import sys
import threading

import pika

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)
stopping = threading.Event()


def handle_event(channel, method, properties, body):
    logging.info("event %s", body.decode(errors="replace"))
    channel.basic_ack(delivery_tag=method.delivery_tag)


def subscribe(name):
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="engine:events", exchange_type="fanout", durable=True)
        if name:
            queue = channel.queue_declare(queue=f"engine:events:{name}", durable=True).method.queue
        else:
            queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.queue_bind(exchange="engine:events", queue=queue)
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume(queue=queue, on_message_callback=handle_event)
        logging.info("subscribed")
        while channel.is_open and channel.consumer_tags and not stopping.is_set():
            connection.process_data_events(time_limit=0.5)
    if not stopping.is_set():
        raise pika.exceptions.ConsumerCancelled("by the broker, as when the queue is deleted")


def main(name):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        subscribe(name)
    except (pika.exceptions.AMQPError, OSError) as error:
        logging.error("cannot go on: %r", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
