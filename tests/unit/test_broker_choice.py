"""Which broker is asked for, and what is said where there is none; nothing is started here."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from rmqlab import doctor
from rmqlab.broker import Broker, check_sources, chosen_source, start_broker
from rmqlab.broker._connection import quiet_pika
from rmqlab.broker._node import MARK
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import free_ports
from rmqlab.broker._start import own_sources
from rmqlab.errors import AddressError, BrokerError, BrokerUnavailableError, FaultError

NO_ENGINE = "unix:///nonexistent.sock"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AMQP_URL", "RMQLAB_BROKER", "RMQLAB_MANAGEMENT_URL", "RMQLAB_IMAGE", "RMQLAB_OWN_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)


@pytest.fixture
def closed_url() -> str:
    return f"amqp://user:s3cr3t@127.0.0.1:{free_ports(1)[0]}/"


needs_posix = pytest.mark.skipif(os.name != "posix", reason="a private node needs Linux or macOS")


@pytest.fixture
def reaped_process(tmp_path: Path):
    """A folder and a process that carry the mark of a private node, as its remains would."""
    folder = tmp_path / "node"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", "import threading; threading.Event().wait()"],
        env=os.environ | {MARK: str(folder)},
    )
    yield folder, process
    process.kill()
    process.wait()


def _start_reaper_and_lose_owner(folder: Path, how: str) -> None:
    """Run a process that has a reaper, and that ends without stopping it."""
    code = (
        "import os, signal; from rmqlab.broker._reaper import Reaper;"
        f"reaper = Reaper('node', {{'folder': {str(folder)!r}}}); {how}"
    )
    subprocess.run([sys.executable, "-c", code], timeout=30, check=False)


@pytest.mark.parametrize(
    ("argument", "setting", "expected"),
    [
        (None, None, "auto"),
        (None, "", "auto"),
        (None, " node ", "node"),
        (None, "container", "container"),
        ("external", "node", "external"),
    ],
)
def test_the_argument_comes_before_the_setting(monkeypatch, argument, setting, expected) -> None:
    if setting is not None:
        monkeypatch.setenv("RMQLAB_BROKER", setting)

    assert chosen_source(argument) == expected


@pytest.mark.parametrize("wrong", ["docker", "NODE", "none"])
def test_an_unknown_source_is_named_with_those_that_exist(monkeypatch, wrong: str) -> None:
    monkeypatch.setenv("RMQLAB_BROKER", wrong)

    with pytest.raises(AddressError, match=rf"'{wrong}'.*Next: .*auto, external, container, node"):
        chosen_source()


def test_a_named_broker_that_does_not_answer_is_not_replaced(monkeypatch, closed_url) -> None:
    monkeypatch.setenv("AMQP_URL", closed_url)

    with pytest.raises(BrokerUnavailableError, match=r"No broker answers at 127\.0\.0\.1") as caught:
        start_broker("auto")
    assert "s3cr3t" not in str(caught.value)


def test_external_needs_a_url() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"AMQP_URL is not set.*Next: "):
        start_broker("external")


def test_container_needs_an_engine() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"No container engine answers.*Next: "):
        start_broker("container")


def test_auto_names_every_source_it_tried(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("rmqlab.broker._node.server_script", lambda: None)

    with pytest.raises(BrokerUnavailableError) as caught:
        start_broker("auto")

    lines = str(caught.value).splitlines()
    assert [line.strip(" -").partition(":")[0] for line in lines[1:]] == ["external", "container", "node"]
    assert all("Next: " in line for line in lines[2:])
    assert "apt-get install rabbitmq-server" in lines[3]


@pytest.mark.parametrize(
    ("argument", "settings", "expected"),
    [
        (None, {}, ("container", "node")),
        (None, {"RMQLAB_BROKER": "auto"}, ("container", "node")),
        (None, {"RMQLAB_BROKER": "node"}, ("node",)),
        (None, {"RMQLAB_BROKER": "external"}, ("container", "node")),
        (None, {"RMQLAB_BROKER": "external", "RMQLAB_OWN_BROKER": "node"}, ("node",)),
        (None, {"RMQLAB_BROKER": "external", "RMQLAB_OWN_BROKER": " container "}, ("container",)),
        (None, {"RMQLAB_BROKER": "node", "RMQLAB_OWN_BROKER": "container"}, ("container",)),
        ("node", {"RMQLAB_OWN_BROKER": "container"}, ("node",)),
        ("auto", {"RMQLAB_OWN_BROKER": "node"}, ("container", "node")),
    ],
)
def test_a_broker_of_ones_own_is_from_the_labs_source_or_else_the_first_there_is(
    monkeypatch, argument, settings, expected
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert own_sources(argument) == expected


def test_a_broker_of_ones_own_is_never_an_external_one(monkeypatch, closed_url) -> None:
    monkeypatch.setenv("AMQP_URL", closed_url)
    monkeypatch.setattr("rmqlab.broker._node.server_script", lambda: None)

    with pytest.raises(FaultError, match=r"somebody else's.*Next: leave out the source"):
        start_broker("external", own=True)
    with pytest.raises(BrokerUnavailableError, match="No broker could be had") as caught:
        start_broker(own=True)

    lines = str(caught.value).splitlines()
    assert [line.strip(" -").partition(":")[0] for line in lines[1:]] == ["container", "node"]
    assert all("Next: " in line for line in lines[1:])


def test_a_source_of_a_broker_of_ones_own_that_cannot_be_is_told(monkeypatch) -> None:
    monkeypatch.setenv("RMQLAB_OWN_BROKER", "external")

    with pytest.raises(AddressError, match=r"RMQLAB_OWN_BROKER is 'external'.*Next: .*container, node"):
        start_broker(own=True)


@pytest.mark.parametrize("use", ["url", "parameters", "version", "management_url"])
def test_a_broker_that_is_not_started_says_so(use: str) -> None:
    with pytest.raises(BrokerError, match=r"is stopped.*Next: "):
        getattr(Broker("node"), use)


def test_stop_before_start_does_nothing() -> None:
    broker = Broker("node")
    broker.stop()

    assert repr(broker) == "<Broker node, stopped>"


def test_checking_sources_starts_nothing_and_gives_a_fix_for_each_that_is_missing() -> None:
    checks = check_sources()

    assert list(checks) == ["external", "container", "node"]
    assert not checks["external"].usable
    assert not checks["container"].usable
    assert all(check.detail for check in checks.values())
    assert all(check.usable or check.fix for check in checks.values())


def _used(findings: list[doctor.Finding]) -> doctor.Finding:
    return findings[-1]


def test_the_doctor_agrees_with_start_broker_that_a_named_broker_is_the_only_one(
    monkeypatch, closed_url
) -> None:
    monkeypatch.setenv("AMQP_URL", closed_url)

    findings = doctor.examine()

    assert not doctor.can_run(findings)
    assert _used(findings).subject == "broker to be used"
    assert "correct AMQP_URL" in _used(findings).fix
    assert not any("s3cr3t" in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("settings", "clue"),
    [
        ({"RMQLAB_BROKER": "external"}, "set AMQP_URL"),
        ({"RMQLAB_BROKER": "container"}, "start Docker"),
        ({"AMQP_URL": "http://localhost"}, "amqp://"),
        ({"RMQLAB_BROKER": "nonsense"}, "auto, external, container, node"),
    ],
)
def test_the_doctor_gives_the_next_step(monkeypatch, settings: dict[str, str], clue: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    findings = doctor.examine()

    assert not doctor.can_run(findings)
    assert clue in _used(findings).fix


def test_the_doctor_finds_every_package_that_is_declared() -> None:
    findings = {finding.subject: finding for finding in doctor.examine()}

    assert all(findings[name].good for name in ("Python", "pika", "pandas", "jupyterlab"))


def test_pika_is_as_loud_as_before_when_two_threads_have_quietened_it() -> None:
    logger = logging.getLogger("pika")
    before = logger.level
    inside, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_pika():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    with quiet_pika():
        thread.start()
        assert inside.wait(10)
    assert not logger.isEnabledFor(logging.CRITICAL)
    go_on.set()
    thread.join()

    assert logger.level == before


@needs_posix
@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)"])
def test_a_reaper_tidies_up_when_its_owner_is_gone(reaped_process, how: str) -> None:
    folder, process = reaped_process

    _start_reaper_and_lose_owner(folder, how)

    process.wait(10)
    assert process.returncode < 0
    assert _goes(folder)


@needs_posix
def test_a_reaper_tidies_up_when_it_is_left_to_it(reaped_process) -> None:
    folder, process = reaped_process

    Reaper("node", {"folder": str(folder)}).take_over()

    process.wait(10)
    assert _goes(folder)


def _goes(folder: Path) -> bool:
    """Wait until a folder is gone; say whether it went within ten seconds."""
    pause = threading.Event()
    for _ in range(200):
        if not folder.exists():
            return True
        pause.wait(0.05)
    return False


def test_a_reaper_that_is_dismissed_touches_nothing(reaped_process) -> None:
    folder, process = reaped_process
    reaper = Reaper("node", {"folder": str(folder)})
    pid = reaper._process.pid

    reaper.stop()

    assert not psutil.pid_exists(pid)
    assert process.poll() is None
    assert folder.exists()


def test_a_reaper_does_not_show_what_it_guards_on_its_command_line(reaped_process) -> None:
    folder, _ = reaped_process
    reaper = Reaper("node", {"folder": str(folder), "url": "amqp://user:s3cr3t@localhost"})
    command = psutil.Process(reaper._process.pid).cmdline()
    reaper.stop()

    assert "s3cr3t" not in json.dumps(command)
