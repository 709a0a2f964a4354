"""Where brokers come from, and that nothing of theirs stays behind.

Each source is tested where it is usable, and skipped elsewhere; `RMQLAB_MUST_TEST` names,
with spaces between them, the sources that have to be.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import (
    OWN,
    channel_to,
    container,
    eventually,
    processes_of,
    read_until,
    remains_of,
    require,
    running,
    take_all,
)

from rmqlab import names
from rmqlab.broker import Broker, start_broker
from rmqlab.broker._external import External
from rmqlab.errors import BrokerError


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest, started) -> Broker:
    """A broker that rmqlab started."""
    return started(request.param)


def _folder(broker: Broker) -> Path:
    return Path(broker._source.resources()["folder"])


def _publishes(broker: Broker) -> bool:
    """Return True if a message goes through a broker."""
    with channel_to(broker) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"x")
        return take_all(channel, queue) == [b"x"]


# --- brokers that rmqlab starts ---------------------------------------------------------


def test_a_started_broker_carries_messages_and_shows_no_password(own: Broker) -> None:
    url = own.url

    assert own.start() is own
    assert own.url == url
    assert _publishes(own)
    assert own.management_url
    assert own.management_url.startswith("http://127.0.0.1:")
    assert len(own.queues()) == 0
    assert own.version in repr(own)
    assert own.parameters.credentials.password not in repr(own) + own.management_url


def test_a_node_is_its_owners_only(started) -> None:
    broker = started("node")
    password = broker.parameters.credentials.password
    folder = _folder(broker)
    processes = processes_of(folder)
    connections = [each for process in processes for each in process.net_connections("inet")]
    listening = {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}

    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(processes) >= 2
    assert not any(password in " ".join(process.cmdline()) for process in processes)
    assert listening
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_container_is_bound_to_loopback_only(started) -> None:
    found = container(started("container")._source.resources()["container"])
    bindings = [each for port in found["HostConfig"]["PortBindings"].values() for each in port or []]

    assert bindings
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


# --- an owner that does not get to stop its broker --------------------------------------

OWNER = """
import signal, sys
from rmqlab.broker import Broker
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
broker = Broker(sys.argv[1])
print("starting", flush=True)
with broker:
    EXTRA
    sys.stdin.read()
"""
DECLARE = f"""
    import pika
    print(broker._reaper._process.pid, flush=True)
    pika.BlockingConnection(broker.parameters).channel().queue_declare({names.TASKS!r}, durable=True)
    print("declared", flush=True)
"""


@contextlib.contextmanager
def _owner(source: str, extra: str = "", **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python process that owns a broker, and waits for its standard input."""
    program = OWNER.replace("    EXTRA\n", extra)
    with running("-c", program, source, stderr=None, **settings) as process:
        read_until(process.stdout, "starting")
        yield process


def test_two_run_side_by_side_and_stop_leaves_nothing_of_one(own: Broker, caplog) -> None:
    with caplog.at_level(logging.DEBUG), start_broker(own.source) as second:
        password = second.parameters.credentials.password
        remains = remains_of(second.source, second._source.resources())
        assert second.url != own.url
        assert _publishes(second)
        assert remains()

    assert not remains()
    assert _publishes(own)
    assert repr(second) == f"<OwnBroker {own.source}, stopped>"
    with pytest.raises(BrokerError, match="stopped"):
        second.url  # noqa: B018
    assert password not in caplog.text


def test_nothing_stays_when_a_start_is_interrupted(tmp_path: Path) -> None:
    require("node")
    with _owner("node", TMPDIR=str(tmp_path)) as process:
        folders = lambda: list(tmp_path.glob("rmqlab-node-*"))  # noqa: E731
        assert eventually(lambda: any(map(processes_of, folders())))  # the server is being started
        (folder,) = folders()

        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert process.returncode != 0
    assert processes_of(folder) == []
    assert list(tmp_path.iterdir()) == []


# --- a broker that somebody else runs ---------------------------------------------------


def test_an_administrators_lab_has_a_virtual_host_of_its_own(as_administrator) -> None:
    as_administrator.furnish()
    before, hosts = as_administrator.definitions(), as_administrator.virtual_hosts()

    broker = start_broker()
    assert broker.source == "external"
    assert as_administrator.virtual_hosts() - hosts == {broker.parameters.virtual_host}
    assert broker.shared_virtual_host is None
    assert "shared" not in repr(broker)
    broker.stop()
    broker.stop()
    assert as_administrator.definitions() == before
    with broker.start():
        assert _publishes(broker)
        assert as_administrator.virtual_hosts() > hosts
    assert as_administrator.definitions() == before


# As if the broker had gone: nothing answers at these ports.
GONE = {
    "virtual host": {"virtual_host": "rmqlab-1", "management_url": "http://127.0.0.1:1", "shared": False},
    "queues": {"virtual_host": None, "claims": [["queue", names.TASKS]], "shared": True},
}


@pytest.mark.parametrize("what", GONE)
def test_a_broker_that_is_gone_at_the_end_is_a_warning(caplog, what: str) -> None:
    with caplog.at_level(logging.WARNING, "rmqlab"):
        External.cleanup({"url": "amqp://user:s3cr3t@127.0.0.1:1/shared"} | GONE[what])

    assert f"could not delete the lab's {what}" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_an_owner_that_exits_without_stop_leaves_nothing(foreign) -> None:
    before = foreign.virtual_hosts()
    stay = "    broker.__class__.__exit__ = lambda *_: None\n"
    with _owner("external", stay, **foreign.environment("administrator")) as process:
        process.communicate(timeout=30)

    assert process.returncode == 0
    assert foreign.virtual_hosts() == before  # at once: its own doing, not the reaper's


def test_an_interrupt_while_it_stops_leaves_the_rest_to_the_reaper(as_administrator, monkeypatch) -> None:
    def interrupted(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    before = as_administrator.virtual_hosts()
    broker = start_broker("external")
    assert as_administrator.virtual_hosts() != before
    monkeypatch.setattr(External, "cleanup", staticmethod(interrupted))  # here, not in the reaper
    with pytest.raises(KeyboardInterrupt):
        broker.stop()

    assert eventually(lambda: as_administrator.virtual_hosts() == before)


def test_a_killed_owners_reaper_deletes_nothing_of_the_lab_after_it(foreign) -> None:
    with _owner("external", DECLARE, **foreign.environment("user")) as process:
        reaper = psutil.Process(int(process.stdout.readline()))
        read_until(process.stdout, "declared")
        process.kill()
    assert eventually(lambda: names.TASKS not in foreign.names())
    with foreign.stranger() as channel:
        channel.queue_declare(names.TASKS, durable=True)  # the next lab, in the same virtual host

    psutil.wait_procs([reaper], timeout=15)
    assert not reaper.is_running()
    assert foreign.names() == {names.TASKS}
