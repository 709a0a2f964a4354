"""Which broker is asked for, and what is said where there is none; nothing is started here."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from helpers import eventually, running

from rmqlab.app import doctor
from rmqlab.broker import Broker, start_broker
from rmqlab.broker._connection import quiet_pika
from rmqlab.broker._node import MARK
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import free_ports
from rmqlab.broker._start import chosen_source, own_sources
from rmqlab.errors import BrokerError, BrokerUnavailableError, FaultError

NO_ENGINE = "unix:///nonexistent.sock"


@pytest.fixture(autouse=True)
def _no_engine(no_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("argument", "setting", "expected"),
    [
        (None, None, "auto"),
        (None, "", "auto"),
        (None, " node ", "node"),
        ("external", "node", "external"),
    ],
)
def test_the_argument_comes_before_the_setting(monkeypatch, argument, setting, expected) -> None:
    if setting is not None:
        monkeypatch.setenv("RMQLAB_BROKER", setting)

    assert chosen_source(argument) == expected


def _tried(**options: bool) -> dict[str, str]:
    """Return what is said of each source when there is no broker."""
    with pytest.raises(BrokerUnavailableError, match="No broker could be had") as caught:
        start_broker(**options)
    tried = dict(each.strip(" -").split(":", 1) for each in str(caught.value).splitlines()[1:])
    assert all("Next: " in said for name, said in tried.items() if name != "external")
    return tried


def test_auto_names_every_source_it_tried(monkeypatch) -> None:
    monkeypatch.setattr("rmqlab.broker._node.server_script", lambda: None)

    tried = _tried()

    assert list(tried) == ["external", "container", "node"]
    assert "apt-get install rabbitmq-server" in tried["node"]


@pytest.mark.parametrize(
    ("argument", "settings", "expected"),
    [
        (None, {}, ("container", "node")),
        (None, {"RMQLAB_BROKER": "node"}, ("node",)),
        (None, {"RMQLAB_BROKER": "external"}, ("container", "node")),
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
    assert list(_tried(own=True)) == ["container", "node"]


@pytest.mark.parametrize("use", ["url", "parameters", "version", "management_url"])
def test_a_broker_that_is_not_started_says_so(use: str) -> None:
    with pytest.raises(BrokerError, match=r"is stopped.*Next: "):
        getattr(Broker("node"), use)


def test_the_doctor_agrees_with_start_broker_that_a_named_broker_is_the_only_one(
    monkeypatch, closed_url
) -> None:
    monkeypatch.setenv("AMQP_URL", closed_url)

    findings = doctor.examine()

    assert not doctor.can_run(findings)
    assert findings[-1].subject == "broker to be used"
    assert "correct AMQP_URL" in findings[-1].fix
    assert not any("s3cr3t" in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("name", "value", "clue"),
    [
        ("RMQLAB_BROKER", "container", "start Docker"),
        ("RMQLAB_BROKER", "nonsense", "auto, external, container, node"),
    ],
)
def test_the_doctor_gives_the_next_step(monkeypatch, name: str, value: str, clue: str) -> None:
    monkeypatch.setenv(name, value)

    findings = doctor.examine()

    assert not doctor.can_run(findings)
    assert clue in findings[-1].fix


def test_pika_is_as_loud_as_before_when_two_have_quietened_it_at_the_same_time() -> None:
    logger = logging.getLogger("pika")
    before = logger.level
    with ExitStack() as second:
        with quiet_pika():
            second.enter_context(quiet_pika())
        assert not logger.isEnabledFor(logging.CRITICAL)

    assert logger.level == before


@needs_posix
@pytest.mark.parametrize(
    "how", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)", "reaper.take_over(); time.sleep(20)"]
)
def test_a_reaper_cleans_up_when_its_owner_is_gone_or_leaves_it_to_it(reaped_process, how: str) -> None:
    folder, process = reaped_process
    code = (
        "import os, signal, time; from rmqlab.broker._reaper import Reaper;"
        f"reaper = Reaper('node', {{'folder': {str(folder)!r}}}); {how}"
    )
    with running("-c", code):
        process.wait(20)

    assert process.returncode < 0
    assert eventually(lambda: not folder.exists())


def test_a_reaper_shows_no_secret_and_touches_nothing_when_it_is_dismissed(reaped_process) -> None:
    folder, process = reaped_process
    reaper = Reaper("node", {"folder": str(folder), "url": "amqp://user:s3cr3t@localhost"})
    command = psutil.Process(reaper._process.pid).cmdline()
    reaper.stop()

    assert "s3cr3t" not in json.dumps(command)
    assert not psutil.pid_exists(reaper._process.pid)
    assert process.poll() is None
    assert folder.exists()
