"""A broker that is low on memory blocks publishers: they wait, and do not hang."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rmqlab.amqp import Publisher, confirm_each, connect, fire_and_forget
from rmqlab.broker import Broker
from rmqlab.broker._node import MARK, Node, server_script
from rmqlab.errors import TimeLimitError

QUEUE, OTHER = "rmqlab-test-blocked", "rmqlab-test-unblocked"


@pytest.fixture(scope="module")
def node(request) -> Iterator[Broker]:
    if not Node.check().usable:
        if "node" in os.environ.get("RMQLAB_MUST_TEST", "").split():
            pytest.fail("RMQLAB_MUST_TEST asks for a node")
        pytest.skip("no rabbitmq-server is installed")
    with Broker("node") as broker:
        yield broker


def _rabbitmqctl(node: Broker, *arguments: str) -> None:
    """Run a command of the node's own tools: they find it by its environment."""
    assert node._source
    folder = node._source.resources()["folder"]
    environments = (_environ(process) for process in psutil.process_iter())
    environment = next(each for each in environments if each.get(MARK) == folder)
    script = server_script()
    assert script
    subprocess.run(
        [Path(script).with_name("rabbitmqctl"), *arguments],
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


@pytest.fixture(scope="module")
def low_on_memory(node: Broker) -> None:
    """From the first test that asks for it on, until the last one ends it."""
    connection = connect(node)
    channel = connection.channel()
    for queue in (QUEUE, OTHER):
        channel.queue_declare(queue, durable=True)
    connection.close()
    _rabbitmqctl(node, "set_vm_memory_high_watermark", "0.000001")


@pytest.mark.parametrize("confirms", [confirm_each(), fire_and_forget()], ids=lambda each: each.name)
def test_a_blocked_publisher_gives_up_at_its_time_limit(node, low_on_memory, confirms) -> None:
    with (
        pytest.raises(TimeLimitError, match=r"blocks publishers \(low on memory\).*Next: "),
        Publisher(node, routing_key=QUEUE, confirms=confirms, timeout_s=1) as publisher,
    ):
        while True:
            publisher.publish(b"x")


def test_a_publisher_goes_on_when_the_alarm_is_over(node, low_on_memory) -> None:
    with Publisher(node, routing_key=OTHER, confirms=fire_and_forget(), timeout_s=60) as publisher:
        publisher.publish(b"first")
        publisher.wait(0.5)
        assert publisher.blocked == "low on memory"
        _rabbitmqctl(node, "set_vm_memory_high_watermark", "0.4")
        publisher.publish(b"second")
        assert publisher.blocked == ""
    node.wait_for_queue(OTHER, ready=2)
