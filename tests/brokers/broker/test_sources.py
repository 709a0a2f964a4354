"""Where brokers come from, and that nothing of theirs stays behind and nothing of others' goes.

Each source is tested where it is usable, and skipped elsewhere; `RMQLAB_MUST_TEST` names,
with spaces between them, the sources that have to be.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pika
import psutil
import pytest

from rmqlab import names
from rmqlab.broker import Broker, check_sources, start_broker
from rmqlab.broker._external import External
from rmqlab.broker._node import MARK
from rmqlab.errors import AddressError, BrokerError, BrokerUnavailableError, ManagementError

SETTINGS = ("AMQP_URL", "RMQLAB_BROKER", "RMQLAB_MANAGEMENT_URL")
OWN = ("node", "container")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the session's broker: these tests have brokers of their own."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def _eventually(look: Callable[[], object], *, seconds: float = 15) -> bool:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if look():
            return True
        pause.wait(0.05)
    return False


def _require(source: str) -> None:
    check = check_sources()[source]
    if not check.usable:
        if source in os.environ.get("RMQLAB_MUST_TEST", "").split():
            pytest.fail(f"{source} has to be tested here: {check.detail}; {check.fix}")
        pytest.skip(f"{source}: {check.detail}")


@pytest.fixture(scope="module")
def started(session_broker: Broker | None) -> Iterator[Callable[[str], Broker]]:
    """Give one broker of a source for all tests of this file, started when first needed."""
    with contextlib.ExitStack() as stack:
        brokers: dict[str, Broker] = {session_broker.source: session_broker} if session_broker else {}

        def started(source: str) -> Broker:
            if source not in brokers:
                _require(source)
                brokers[source] = stack.enter_context(start_broker(source))
            return brokers[source]

        yield started


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest, started) -> Broker:
    """A broker that rmqlab started."""
    return started(request.param)


@pytest.fixture
def host(started) -> Broker:
    """A broker to be the one that somebody else runs: any that can be had."""
    checks = check_sources()
    usable = [source for source in OWN if checks[source].usable]
    return started(usable[0] if usable else OWN[0])


# --- what a source leaves on the machine ------------------------------------------------


def _remains(broker: Broker) -> Callable[[], bool]:
    """Return a function that says whether anything is left of a broker that runs now."""
    assert broker._source is not None
    return _remains_of(broker.source, broker._source.resources())


def _remains_of(source: str, resources: dict[str, str]) -> Callable[[], bool]:
    if source == "container":
        return lambda: _container(resources["container"]) is not None
    folder = Path(resources["folder"])
    return lambda: folder.exists() or bool(_processes(folder))


def _processes(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def _container(name: str):
    import docker
    from docker.errors import APIError

    with contextlib.closing(docker.from_env(timeout=30)) as client:
        try:
            return client.containers.get(name).attrs
        except APIError as error:
            # Podman answers 500 about a container that it is just removing.
            if error.status_code != 404 and "no such container" not in str(error):
                raise
            return None


def _publishes(broker: Broker) -> bool:
    """Return whether a message goes through a broker."""
    with contextlib.closing(pika.BlockingConnection(broker.parameters)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"x")
        return channel.basic_get(queue, auto_ack=True)[2] == b"x"


# --- brokers that rmqlab starts ---------------------------------------------------------


def test_a_started_broker_carries_messages(own: Broker) -> None:
    assert _publishes(own)


def test_it_knows_its_version_and_shows_its_queues(own: Broker) -> None:
    assert own.version[0].isdigit()
    assert own.management_url is not None
    assert own.management_url.startswith("http://127.0.0.1:")
    assert own.management_url.count("@") == 0
    assert len(own.queues()) == 0


def test_starting_what_runs_changes_nothing(own: Broker) -> None:
    url = own.url

    assert own.start() is own
    assert own.url == url


def test_nothing_that_is_shown_has_the_password(own: Broker) -> None:
    password = own.parameters.credentials.password

    for shown in (repr(own), str(own)):
        assert password not in shown
        assert own.version in shown


def test_a_nodes_folder_is_its_owners_only(started) -> None:
    folder = Path(started("node")._source.resources()["folder"])

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_node_listens_on_loopback_only(started) -> None:
    folder = Path(started("node")._source.resources()["folder"])
    addresses = {
        connection.laddr.ip
        for process in _processes(folder)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_node_shows_no_password_in_its_processes_and_no_folder_to_others(started) -> None:
    broker = started("node")
    password = broker.parameters.credentials.password
    processes = _processes(Path(broker._source.resources()["folder"]))

    assert len(processes) >= 2
    assert not any(password in " ".join(process.cmdline()) for process in processes)


def test_a_container_is_bound_to_loopback_only(started) -> None:
    container = _container(started("container")._source.resources()["container"])
    bindings = [each for port in container["HostConfig"]["PortBindings"].values() for each in port or []]

    assert bindings
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


# --- an owner that does not get to stop its broker --------------------------------------

OWNER = """
import json, signal, sys
from rmqlab.broker import Broker
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
broker = Broker(sys.argv[1])
print("starting", flush=True)
with broker:
    assert broker._reaper
    print(json.dumps([broker._source.resources(), broker._reaper._process.pid]), flush=True)
    EXTRA
    sys.stdin.read()
"""
FORK = """
    import os
    child = os.fork()
    if child == 0:
        sys.exit()
    os.waitpid(child, 0)
    print("forked", flush=True)
"""


def _own(source: str, extra: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start another Python process that owns a broker; it waits for its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.replace("    EXTRA\n", extra), source],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "starting\n"
    return process


@pytest.fixture
def owner() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a way to start owners, which end with the test."""
    processes: list[subprocess.Popen[str]] = []

    def owner(source: str, extra: str = "", **environment: str) -> subprocess.Popen[str]:
        processes.append(_own(source, extra, **environment))
        return processes[-1]

    yield owner
    for process in processes:
        with process:
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def other_owner() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Give one owner for each source; it starts while the first test that asks does other things."""
    processes: dict[str, subprocess.Popen[str]] = {}

    def other_owner(source: str) -> subprocess.Popen[str]:
        if source not in processes:
            processes[source] = _own(source)
        return processes[source]

    yield other_owner
    for process in processes.values():
        with process:
            process.communicate(timeout=30)


def _running(process: subprocess.Popen[str]) -> tuple[dict, int]:
    """Wait until an owner's broker runs; give what it would leave, and its reaper's pid."""
    assert process.stdout
    return json.loads(process.stdout.readline())


def test_two_run_side_by_side_and_stop_leaves_nothing_of_one(own: Broker, other_owner, caplog) -> None:
    other_owner(own.source)  # for the next test: they start at the same time
    with caplog.at_level(logging.DEBUG), start_broker(own.source) as second:
        password = second.parameters.credentials.password
        remains = _remains(second)
        assert second.url != own.url
        assert _publishes(second)
        assert remains()

    assert not remains()
    assert _publishes(own)
    assert repr(second) == f"<OwnBroker {own.source}, stopped>"
    with pytest.raises(BrokerError, match="stopped"):
        second.url  # noqa: B018
    assert password not in caplog.text


@pytest.mark.parametrize("source", OWN)
def test_nothing_stays_when_the_owner_is_killed(other_owner, source: str) -> None:
    _require(source)
    process = other_owner(source)
    resources, _ = _running(process)
    remains = _remains_of(source, resources)
    assert remains()

    process.kill()

    assert _eventually(lambda: not remains())


def test_nothing_stays_when_a_start_is_interrupted(owner, tmp_path: Path) -> None:
    _require("node")
    process = owner("node", TMPDIR=str(tmp_path))
    assert _eventually(lambda: _processes_below(tmp_path))  # the server is being started

    process.send_signal(signal.SIGINT)
    process.wait(30)

    assert process.returncode != 0
    assert _processes_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def _processes_below(folder: Path) -> list[psutil.Process]:
    """Return the processes of all nodes that have their folder in this one."""
    return [process for node in folder.glob("rmqlab-node-*") for process in _processes(node)]


# --- a broker that somebody else runs ---------------------------------------------------


class Api:
    """The management API of the host, as its administrator."""

    def __init__(self, broker: Broker) -> None:
        credentials = broker.parameters.credentials
        self._client = httpx.Client(
            base_url=f"{broker.management_url}/api",
            auth=(credentials.username, credentials.password),
            trust_env=False,
        )

    def put(self, path: str, **body: object) -> None:
        self._client.put(path, json=body).raise_for_status()

    def delete(self, path: str) -> None:
        self._client.delete(path).raise_for_status()

    def virtual_hosts(self) -> set[str]:
        return {each["name"] for each in self._client.get("/vhosts").raise_for_status().json()}


@pytest.fixture
def api(host: Broker) -> Api:
    return Api(host)


@pytest.fixture
def as_administrator(monkeypatch, host: Broker) -> dict[str, str]:
    """Settings that name the host, with a user who may do everything."""
    settings = {"AMQP_URL": host.url, "RMQLAB_MANAGEMENT_URL": host.management_url}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture(params=["", "management", "no API"])
def as_user(request, monkeypatch, host: Broker, api: Api) -> Iterator[dict[str, str]]:
    """Settings that name a virtual host of a user without special rights.

    The user has no tag; or may look at the management API; or is an administrator, but
    there is no management API.
    """
    tags = "administrator" if request.param == "no API" else request.param
    api.put("/users/user", password="s3cr3t", tags=tags)
    api.put("/vhosts/shared")
    api.put("/permissions/shared/user", configure=".*", write=".*", read=".*")
    settings = {"AMQP_URL": f"amqp://user:s3cr3t@127.0.0.1:{host.parameters.port}/shared"}
    if request.param == "management":
        settings["RMQLAB_MANAGEMENT_URL"] = host.management_url
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield settings
    api.delete("/vhosts/shared")
    api.delete("/users/user")


@contextlib.contextmanager
def _channel(url: str):
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def _messages(url: str, queue: str) -> int | None:
    """Count what is in a queue; None if there is no such queue."""
    with _channel(url) as channel:
        try:
            return channel.queue_declare(queue, passive=True).method.message_count
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code != 404:
                raise
            return None


def _fill(url: str, queue: str) -> None:
    with _channel(url) as channel:
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"the user's")


def test_an_administrators_lab_has_a_virtual_host_of_its_own(host, api, as_administrator) -> None:
    _fill(host.url, names.TASKS)
    before = api.virtual_hosts()

    with start_broker("external") as broker:
        made = api.virtual_hosts() - before
        assert made == {broker.parameters.virtual_host}
        assert len(broker.queues()) == 0
        assert _publishes(broker)
        _fill(broker.url, names.TASKS)

    assert api.virtual_hosts() == before
    assert _messages(host.url, names.TASKS) == 1
    with _channel(host.url) as channel:
        channel.queue_delete(names.TASKS)


def test_a_named_broker_is_what_auto_takes(as_administrator) -> None:
    with start_broker() as broker:
        assert broker.source == "external"


def test_it_can_be_started_again_after_stop(api, as_administrator) -> None:
    before = api.virtual_hosts()
    broker = start_broker("external")
    broker.stop()
    broker.stop()
    assert api.virtual_hosts() == before
    broker.start()

    assert _publishes(broker)
    broker.stop()
    assert api.virtual_hosts() == before


def test_another_process_gets_the_same_broker_from_the_environment(as_administrator, monkeypatch) -> None:
    with start_broker("external") as broker:
        for name, value in broker.environment().items():
            monkeypatch.setenv(name, value)
        with start_broker() as inner:
            assert inner.version == broker.version
            assert inner.url != broker.url  # in a corner of its own


def test_a_shared_virtual_host_is_used_and_only_the_labs_names_are_deleted(as_user) -> None:
    url = as_user["AMQP_URL"]
    _fill(url, "the user's queue")

    with start_broker("external") as broker:
        assert broker.parameters.virtual_host == "shared"
        _fill(broker.url, names.TASKS)
        assert list(broker.queues()["name"]) == [names.TASKS]

    assert _messages(url, names.TASKS) is None
    assert _messages(url, "the user's queue") == 1


def test_a_queue_of_the_users_is_never_touched(as_user) -> None:
    url = as_user["AMQP_URL"]
    _fill(url, names.TASKS)
    broker = Broker("external")

    with pytest.raises(BrokerError, match=rf"'shared' already has a queue '{names.TASKS}'.*Next: "):
        broker.start()
    broker.stop()

    assert _messages(url, names.TASKS) == 1


def test_an_exclusive_queue_of_the_users_is_taken_too(as_user) -> None:
    with _channel(as_user["AMQP_URL"]) as channel:
        channel.queue_declare(names.TASKS, exclusive=True)
        with pytest.raises(BrokerError, match="already has a queue"):
            start_broker("external")


def test_a_wrong_management_url_is_told(as_administrator, monkeypatch, host) -> None:
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", "http://127.0.0.1:1")

    with pytest.raises(ManagementError, match=r"does not answer.*Next: "):
        start_broker("external")


@pytest.fixture
def web_page() -> Iterator[str]:
    """A web server that answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_web_page_is_not_taken_for_the_management_api(as_administrator, monkeypatch, web_page) -> None:
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", web_page)

    with pytest.raises(ManagementError, match=r"no management API.*Next: "):
        start_broker("external")


@pytest.mark.parametrize("wrong", ["localhost:15672", "http://[::1", "ftp://localhost"])
def test_a_management_url_that_is_none_is_told(as_administrator, monkeypatch, wrong: str) -> None:
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", wrong)

    with pytest.raises(AddressError, match=r"^RMQLAB_MANAGEMENT_URL has .*Next: "):
        start_broker("external")


@pytest.mark.parametrize("change", ["password", "virtual host"])
def test_a_refusal_shows_no_password(host, monkeypatch, change: str) -> None:
    url = {
        "password": f"amqp://rmqlab:wr0ng@127.0.0.1:{host.parameters.port}/",
        "virtual host": host.url.rpartition("/")[0] + "/nowhere",
    }[change]
    monkeypatch.setenv("AMQP_URL", url)

    with pytest.raises(BrokerUnavailableError, match="Next: ") as caught:
        start_broker("external")
    assert "wr0ng" not in str(caught.value)
    assert host.parameters.credentials.password not in str(caught.value)


def test_a_broker_that_is_gone_at_the_end_is_a_warning(as_administrator, caplog, api) -> None:
    broker = start_broker("external")
    resources = broker._source.resources()
    # As if the broker had gone: nothing answers at these ports.
    gone = resources | {"management_url": "http://127.0.0.1:1"}
    with caplog.at_level(logging.WARNING, "rmqlab"):
        External.cleanup(gone)
    assert "could not delete the lab's virtual host" in caplog.text
    assert broker.parameters.credentials.password not in caplog.text
    broker.stop()


def test_a_shared_broker_that_is_gone_at_the_end_is_a_warning(caplog) -> None:
    gone = {
        "url": "amqp://user:s3cr3t@127.0.0.1:1/shared",
        "management_url": None,
        "virtual_host": None,
        "shared": True,
        "claims": [["queue", names.TASKS]],
    }
    with caplog.at_level(logging.WARNING, "rmqlab"):
        External.cleanup(gone)

    assert "could not delete the lab's queues" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_the_virtual_host_goes_when_the_owner_is_killed(owner, api, as_administrator) -> None:
    before = api.virtual_hosts()
    process = owner("external")
    _running(process)
    assert api.virtual_hosts() != before

    process.kill()

    assert _eventually(lambda: api.virtual_hosts() == before)


def test_a_forked_child_that_ends_stops_nothing(owner, api, as_administrator) -> None:
    before = api.virtual_hosts()
    process = owner("external", FORK)
    _running(process)

    assert process.stdout.readline() == "forked\n"
    assert len(api.virtual_hosts() - before) == 1
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert api.virtual_hosts() == before


def test_an_owner_that_exits_without_stop_leaves_nothing(owner, api, as_administrator) -> None:
    before = api.virtual_hosts()
    process = owner("external", "    broker.__class__.__exit__ = lambda *_: None\n")
    _running(process)
    process.communicate(timeout=30)

    assert process.returncode == 0
    assert api.virtual_hosts() == before  # at once: its own doing, not the reaper's


def test_an_interrupt_while_it_stops_leaves_the_rest_to_the_reaper(
    api, as_administrator, monkeypatch
) -> None:
    def interrupted(_: dict) -> None:
        raise KeyboardInterrupt

    before = api.virtual_hosts()
    broker = start_broker("external")
    assert api.virtual_hosts() != before
    monkeypatch.setattr(External, "cleanup", staticmethod(interrupted))  # here, not in the reaper
    with pytest.raises(KeyboardInterrupt):
        broker.stop()

    assert _eventually(lambda: api.virtual_hosts() == before)


DECLARE = f"""
    import pika
    pika.BlockingConnection(broker.parameters).channel().queue_declare({names.TASKS!r}, durable=True)
    print("declared", flush=True)
"""


@pytest.mark.parametrize("as_user", [""], indirect=True)
def test_a_killed_owners_reaper_deletes_nothing_of_the_lab_after_it(owner, as_user) -> None:
    url = as_user["AMQP_URL"]
    process = owner("external", DECLARE, **as_user)
    _, reaper = _running(process)
    assert process.stdout.readline() == "declared\n"
    reaper = psutil.Process(reaper)

    process.kill()
    assert _eventually(lambda: _messages(url, names.TASKS) is None)
    _fill(url, names.TASKS)  # the next lab, in the same virtual host

    psutil.wait_procs([reaper], timeout=15)
    assert not reaper.is_running()
    assert _messages(url, names.TASKS) == 1
