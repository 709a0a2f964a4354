"""Publish tasks with a window of confirms, and publish again what was not confirmed.

    AMQP_URL=amqp://localhost python confirming_publisher.py 100000

Plain pika, from lessons 07 and 08. Up to WINDOW tasks are unconfirmed at a time. A lost connection is
opened again, after a random wait. What the broker has not confirmed by then is published again, so a
task may be in the queue twice, and none is missing. SIGTERM and Ctrl-C wait for the last confirms; where
the connection is lost by then, it ends with exit code 1 and says how many tasks are unconfirmed.
"""

import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections import deque

import pika

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("pika").setLevel(logging.CRITICAL)
stopping = threading.Event()
WINDOW = 100
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2
# A wrong password, and no such virtual host. A connection that is cut while it opens is of the same class.
REFUSALS = "ConnectionClosedByBroker: (403)", "ConnectionClosedByBroker: (530)"


class Publisher:
    def __init__(self, tasks):
        self.tasks = tasks  # an iterator: what is still to be published
        self.again = deque()  # tasks to publish once more
        self.unconfirmed = {}  # a task by its delivery tag; older ones first
        self.returned = set()  # message ids that came back, and are not confirmed yet
        self.all_confirmed = False
        self.wait_s = FIRST_WAIT_S
        self.reason = None

    def run(self):
        """Publish until all is confirmed or the connection is lost."""
        parameters = pika.URLParameters(os.environ["AMQP_URL"])
        connection = pika.SelectConnection(parameters, self.on_open, self.on_closed, self.on_closed)
        # pika itself waits for ever for who takes the connection and never answers.
        connection.ioloop.call_later(parameters.stack_timeout, lambda: self.check_open(connection))
        connection.ioloop.start()

    def check_open(self, connection):
        if not connection.is_open:
            self.on_closed(connection, TimeoutError("the broker does not answer"))

    def on_open(self, connection):
        connection.channel(on_open_callback=self.on_channel)

    def on_channel(self, channel):
        self.channel, self.tag = channel, 0  # tags begin anew with each channel
        channel.add_on_close_callback(self.on_channel_closed)
        channel.add_on_return_callback(self.on_returned)
        self.declare()
        channel.confirm_delivery(self.on_confirm, callback=lambda _: self.fill())

    def declare(self):
        self.channel.queue_declare(queue="engine:tasks", durable=True)

    def fill(self):
        """Publish until the window is full; close when everything is confirmed."""
        if not self.channel.is_open:
            return
        self.wait_s = FIRST_WAIT_S  # the connection works
        while len(self.unconfirmed) < WINDOW:
            task = self.again.popleft() if self.again else next(self.tasks, None)
            if task is None:
                break
            self.tag += 1
            self.unconfirmed[self.tag] = task
            properties = pika.BasicProperties(delivery_mode=2, message_id=task["engine_id"])
            self.channel.basic_publish("", "engine:tasks", json.dumps(task), properties, mandatory=True)
        if not self.unconfirmed:
            self.all_confirmed = True
            self.channel.connection.close()

    def on_confirm(self, frame):
        """Take one tag, or with `multiple` all up to it, out of the window."""
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        is_refused = isinstance(frame.method, pika.spec.Basic.Nack)  # such as by a queue that is full
        for each in [old for old in self.unconfirmed if old <= tag] if multiple else [tag]:
            task = self.unconfirmed.pop(each)
            if is_refused or task["engine_id"] in self.returned:
                self.returned.discard(task["engine_id"])
                self.again.append(task)
            else:
                logging.info("confirmed %s", task["engine_id"])
        if is_refused:
            self.channel.connection.ioloop.call_later(FIRST_WAIT_S, self.fill)
        else:
            self.fill()

    def on_returned(self, channel, method, properties, body):
        """Note a task that no queue wanted; its confirm comes next. Make the queue again."""
        self.returned.add(properties.message_id)
        self.declare()

    def on_channel_closed(self, channel, reason):
        if channel.connection.is_open:
            channel.connection.close(reply_text=str(reason)[:200])  # which on_closed is told

    def on_closed(self, connection, reason):
        self.reason = reason
        self.again.extendleft(reversed(self.unconfirmed.values()))  # in their old order
        self.unconfirmed.clear()
        self.returned.clear()
        connection.ioloop.stop()


def tasks(count):
    for number in range(count):
        if stopping.is_set():
            return
        yield {"engine_id": f"engine-{number}", "action": "process", "data": {"number": number}}


def main(count):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    publisher = Publisher(tasks(count))
    while True:
        publisher.run()
        if publisher.all_confirmed:
            return 0
        logging.warning("the connection is lost: %r", publisher.reason)
        if any(refusal in str(publisher.reason) for refusal in REFUSALS):
            return 1  # no retry can mend that
        if stopping.is_set():
            logging.error("ended with %d tasks unconfirmed", len(publisher.again))
            return 1
        time.sleep(random.uniform(0, publisher.wait_s))
        publisher.wait_s = min(2 * publisher.wait_s, LONGEST_WAIT_S)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
