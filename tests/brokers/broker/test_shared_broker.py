"""A lab in a virtual host that others use deletes what it made itself, and nothing else.

What others have is compared by the broker's own export of its definitions. The broker gives no
order to what it exports, so that each list in it is sorted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import nbformat
import pika
import pytest
from foreign_broker import METHODS, SHARED, ForeignBroker
from helpers import channel_to, eventually, read_until, run_command, running
from nbformat import v4
from pika.channel import Channel

from rmqlab import names, watch
from rmqlab.broker import Broker, Link, _claims, _external, start_broker
from rmqlab.broker._address import Address
from rmqlab.broker._management import Management
from rmqlab.errors import BrokerError, BrokerUnavailableError, ManagementError, NameTakenError

# What a lesson does, in plain pika.
LESSON = f"""
import pika
connection = pika.BlockingConnection(broker.parameters)
channel = connection.channel()
channel.exchange_declare({names.EVENTS!r}, "fanout", durable=True)
channel.queue_declare({names.TASKS!r}, durable=True)
channel.queue_bind({names.TASKS!r}, {names.EVENTS!r})
channel.queue_bind(channel.queue_declare("", exclusive=True).method.queue, {names.EVENTS!r})
channel.queue_declare("")
"""
_process = functools.partial(running, stderr=subprocess.STDOUT)
OWNER = f"""
import sys
from rmqlab.broker import start_broker
with start_broker() as broker:
    exec({LESSON!r})
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def _lab(foreign: ForeignBroker, program: str = OWNER) -> Iterator[subprocess.Popen[str]]:
    """A user's lab in another process, once it has made its things."""
    with _process("-c", program, **foreign.environment("user")) as process:
        read_until(process.stdout, "ready")
        yield process


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_external, "TAKEN_TIMEOUT_S", 0)


@pytest.fixture
def lab(as_user: ForeignBroker) -> Iterator[Broker]:
    """A lab in the shared virtual host, of which nothing is left there after the test."""
    with start_broker() as broker:
        yield broker
    assert as_user.names() == set()


@pytest.fixture
def channel(lab: Broker) -> Iterator[Any]:
    """A channel of plain pika that the lab watches."""
    with channel_to(lab) as channel:
        yield channel


def _write_lesson(path: Path) -> None:
    """Write a notebook that says by a file when it has made its things, and waits for another one."""
    wait = """
import pathlib, time
pathlib.Path("ready").touch()
deadline_s = time.monotonic() + 100
while not pathlib.Path("go").exists() and time.monotonic() < deadline_s:
    time.sleep(0.05)
"""
    cells = ["import rmqlab\nbroker = rmqlab.start_broker()", LESSON, wait]
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells]), path)


# --- what others had before ---------------------------------------------------------------


@pytest.mark.parametrize("end", ["stopped", "killed"])
@pytest.mark.parametrize(
    ("who", "commands"),
    [
        ("administrator", ["lab", "run", "start_broker"]),
        ("user", ["run"]),
        ("user", ["lab", "start_broker"]),
    ],
)
def test_what_others_have_stays_and_what_labs_made_goes(
    foreign: ForeignBroker, tmp_path: Path, who: str, commands: list[str], end: str
) -> None:
    if who == "administrator":  # a user's lab does not start where its names are taken
        foreign.furnish()
    before = foreign.definitions()

    _run_and_end(foreign, who, commands, end, tmp_path)

    assert eventually(lambda: foreign.definitions() == before)


def _arguments(command: str, folder: Path) -> list[str]:
    return {
        "lab": ["-m", "rmqlab", "lab", "--no-browser", "--port", "0"],
        "run": ["-m", "rmqlab", "run", "--output", str(folder / "build"), str(folder / "lesson.ipynb")],
        "start_broker": ["-c", OWNER],
    }[command]


def _run_and_end(foreign: ForeignBroker, who: str, commands: list[str], end: str, folder: Path) -> None:
    """Run labs side by side, see that what they make is there, and end them."""
    settings = foreign.environment(who) | {"JUPYTER_RUNTIME_DIR": str(folder)}
    _write_lesson(folder / "lesson.ipynb")
    with contextlib.ExitStack() as stack:
        labs = {}
        for command in commands:
            before = foreign.definitions()
            labs[command] = stack.enter_context(_process(*_arguments(command, folder), **settings))
            if command == "run":
                assert eventually((folder / "ready").exists, seconds=60)
            else:
                read_until(labs[command].stdout, "ready" if command == "start_broker" else "    http://")
            if not (command == "lab" and who == "user"):  # only its kernels make something there
                assert foreign.definitions() != before
        if end == "stopped":
            (folder / "go").touch()
        for command, lab in labs.items():
            if end == "killed":
                lab.send_signal(signal.SIGKILL)
            elif command == "lab":
                lab.terminate()
        for command, lab in labs.items():
            shown, _ = lab.communicate(timeout=60)
            assert end == "killed" or lab.returncode == 0, f"{command}: {shown}"


def test_a_lab_without_rights_does_not_start_where_an_exchange_is_taken(
    foreign: ForeignBroker, tmp_path: Path
) -> None:
    foreign.furnish()
    before = foreign.definitions()
    _write_lesson(tmp_path / "lesson.ipynb")
    with contextlib.ExitStack() as stack:
        settings = foreign.environment("user")
        labs = {
            command: stack.enter_context(_process(*_arguments(command, tmp_path), **settings))
            for command in ("lab", "run", "start_broker")
        }
        shown = {command: lab.communicate()[0] for command, lab in labs.items()}

    for command, lab in labs.items():
        assert lab.returncode == 1
        assert f"'shared' already has an exchange '{names.EVENTS}'" in shown[command]
        assert ("Traceback" in shown[command]) == (command == "start_broker")
    assert foreign.definitions() == before


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("queue", names.QUEUES[-1], {}),
        ("queue", names.QUEUES[-1], {"exclusive": True}),
        ("exchange", names.EXCHANGES[-1], {}),
    ],
)
def test_each_name_of_the_lessons_is_looked_for(as_user: ForeignBroker, kind, name, settings) -> None:
    with as_user.stranger() as channel:
        getattr(channel, f"{kind}_declare")(name, **settings)

        with pytest.raises(NameTakenError, match=rf"already has an? {kind} '{name}'.*Next: "):
            start_broker()
        assert settings or name in as_user.names()


def test_a_name_that_becomes_free_in_a_moment_is_waited_for(as_user: ForeignBroker, monkeypatch) -> None:
    monkeypatch.setattr(_external, "TAKEN_TIMEOUT_S", 30)
    with as_user.stranger() as channel:
        channel.queue_declare(names.TASKS)
    timer = threading.Timer(0.5, as_user.delete, [f"/queues/{SHARED}/{quote(names.TASKS)}"])
    timer.start()

    with start_broker() as broker:
        assert broker.shared_virtual_host == SHARED
    timer.join()


# --- what the lab makes, and what others make meanwhile ---------------------------------


def test_a_lab_that_is_killed_while_it_makes_something_leaves_nothing(foreign: ForeignBroker) -> None:
    dying = f"""
import os
from rmqlab.broker import _claims
make = _claims.make

def make_and_die(*arguments, **settings):
    make(*arguments, **settings)
    os.kill(os.getpid(), {signal.SIGKILL:d})

_claims.make = make_and_die
{OWNER}"""
    with _process("-c", dying, **foreign.environment("user")) as process:
        process.communicate(timeout=30)

    assert process.returncode == -signal.SIGKILL
    assert eventually(lambda: foreign.names() == set())


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_what_others_make_meanwhile_stays_with_the_exchange_they_bound_to(
    foreign: ForeignBroker, end: str
) -> None:
    with _lab(foreign) as process:
        with foreign.stranger() as channel:
            channel.exchange_declare(names.ROUTING, "direct", durable=True)
            channel.queue_declare("engine:unrouted", durable=True)
            channel.queue_declare("theirs", durable=True)
            channel.queue_bind("theirs", names.EVENTS)
        if end == "killed":
            process.send_signal(signal.SIGKILL)
        shown, _ = process.communicate(timeout=60)

    theirs = {names.ROUTING, "engine:unrouted", "theirs", names.EVENTS}
    assert eventually(lambda: foreign.names() == theirs)
    if end == "stopped":
        assert f"left as it is: exchange '{names.EVENTS}'" in shown
    else:  # the reaper has not given up before
        assert not eventually(lambda: foreign.names() != theirs, seconds=_claims.IN_USE_TIMEOUT_S + 1)


@pytest.mark.parametrize(
    "touch",
    [
        lambda channel: channel.queue_declare(names.TASKS, durable=True),
        lambda channel: channel.queue_delete(names.TASKS),
        lambda channel: channel.queue_purge(names.TASKS),
        lambda channel: channel.exchange_declare(names.EVENTS, "fanout", durable=True),
        lambda channel: channel.exchange_delete(names.EVENTS),
    ],
)
def test_what_appeared_first_is_refused_and_not_touched(as_user: ForeignBroker, touch) -> None:
    with start_broker() as broker, channel_to(broker) as channel:
        with as_user.stranger() as other:
            other.queue_declare(names.TASKS, durable=True)
            other.exchange_declare(names.EVENTS, "fanout", durable=True)
            other.queue_bind(names.TASKS, names.EVENTS)
            other.confirm_delivery()
            other.basic_publish("", names.TASKS, b"theirs")
        before = as_user.definitions()
        with pytest.raises(NameTakenError, match=r"that this lab did not make.*Next: "):
            touch(channel)
        assert channel.queue_declare(names.TASKS, passive=True).method.message_count == 1

    assert as_user.definitions() == before


def test_what_the_lesson_deleted_and_somebody_else_made_stays(as_user: ForeignBroker) -> None:
    with start_broker() as broker, channel_to(broker) as channel:
        channel.queue_declare(names.TASKS, durable=True)
        channel.exchange_declare(names.EVENTS, "fanout")
        channel.queue_delete(names.TASKS)
        channel.exchange_delete(names.EVENTS)
        with as_user.stranger() as other:
            other.queue_declare(names.TASKS, durable=True)
            other.exchange_declare(names.EVENTS, "fanout")
        with pytest.raises(NameTakenError):
            channel.queue_declare(names.TASKS, durable=True)

    assert as_user.names() == {names.TASKS, names.EVENTS}


def test_a_name_can_be_made_deleted_and_made_again(channel, as_user: ForeignBroker) -> None:
    channel.queue_delete(names.TASKS)  # which is not there yet
    for _ in range(2):
        channel.queue_declare(names.TASKS, durable=True)
        channel.queue_declare(names.TASKS, durable=True)
        channel.basic_publish("", names.TASKS, b"x")
        channel.queue_purge(names.TASKS)
        channel.queue_delete(names.TASKS)
    channel.queue_declare(names.TASKS, durable=True)
    assert as_user.names() == {names.TASKS}


def test_own_exchanges_that_are_bound_to_each_other_go_also_if_made_over_a_link(
    lab: Broker,
) -> None:
    with Link(lab) as link, channel_to(link.url) as channel:
        for name in ("a", "b", "c"):
            channel.exchange_declare(name, "fanout", durable=True)
        channel.exchange_bind("b", "a")
        channel.exchange_bind("c", "b")


def test_an_exclusive_queue_of_an_open_connection_goes_with_its_exchange(
    lab: Broker, channel, as_user: ForeignBroker
) -> None:
    channel.exchange_declare(names.EVENTS, "fanout", durable=True)
    private = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(private, names.EVENTS)
    channel.queue_purge(private)
    assert lab.queues()["name"].tolist() == [private]

    lab.stop()

    assert as_user.names() == set()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        channel.queue_declare(private, passive=True)


def test_another_virtual_host_is_none_of_the_labs_business(as_user: ForeignBroker, host: Broker) -> None:
    with start_broker(), channel_to(host) as channel:
        channel.queue_declare("elsewhere", durable=True)
        channel.queue_delete("elsewhere")
        channel.queue_declare("elsewhere", durable=True)
    with channel_to(host) as channel:
        assert channel.queue_declare("elsewhere", passive=True).method.consumer_count == 0
        channel.queue_delete("elsewhere")


def test_what_is_predefined_and_what_cannot_be_made_is_not_claimed(lab: Broker, channel) -> None:
    channel.exchange_declare("amq.topic", "topic", durable=True)
    for wrong in ("many", object()):
        with channel_to(lab) as other, pytest.raises(pika.exceptions.AMQPError):
            other.queue_declare(names.TASKS, durable=True, arguments={"x-max-length": wrong})
    assert lab._source.resources()["claims"] == []
    channel.queue_declare(names.TASKS, durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="PRECONDITION_FAILED"):
        channel.queue_declare(names.TASKS, durable=True, arguments={"x-max-priority": 1})


@pytest.mark.parametrize("version", ["3.10", "4.3"])
def test_a_name_that_the_user_has_no_right_to_is_neither_claimed_nor_said_to_be_taken(
    lab: Broker, as_user: ForeignBroker, monkeypatch, version: str
) -> None:
    as_user.permit(configure=f"^{names.TASKS}")
    if version == "4.3":  # it refuses even the look
        look = _claims.look
        refuse = lambda *name: 403 if names.EVENTS in name else look(*name)  # noqa: E731
        monkeypatch.setattr(_claims, "look", refuse)
    for call in ("exchange_declare", "exchange_delete"):
        with channel_to(lab) as channel:
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
                getattr(channel, call)(names.EVENTS)
    assert lab._source.resources()["claims"] == []


def test_a_permission_that_is_taken_away_is_a_sentence_at_the_end(as_user: ForeignBroker, caplog) -> None:
    with caplog.at_level(logging.WARNING, "rmqlab"):
        with start_broker() as broker, channel_to(broker) as channel:
            channel.queue_declare(names.TASKS, durable=True)
            channel.queue_declare("second", durable=True)
            as_user.permit(configure="^second")
            # The broker keeps what it has decided for a channel, for as long as it is open.

    assert f"could not delete the lab's queue '{names.TASKS}'" in caplog.text
    assert as_user.names() == {names.TASKS}


@pytest.mark.parametrize("at", ["look", "make"])
def test_a_connection_that_is_lost_while_a_name_is_claimed_is_an_error_of_pikas(
    channel, as_user: ForeignBroker, at: str
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise pika.exceptions.StreamLostError("as if it were lost")

    with patch.object(_claims, at, lost):
        with pytest.raises(pika.exceptions.AMQPConnectionError, match="Next: "):
            channel.queue_declare(names.TASKS, durable=True)
    assert as_user.names() == set()
    channel.queue_declare(names.TASKS, durable=True)


# --- several at once ----------------------------------------------------------------------

RACER = """
import pika, sys
from rmqlab.broker import start_broker
from rmqlab.errors import NameTakenError
with start_broker() as broker:
    print("ready", flush=True)
    channel = pika.BlockingConnection(broker.parameters).channel()
    sys.stdin.readline()
    won = []
    for number in range(10):
        try:
            channel.queue_declare(f"race-{number}", durable=True)
            won.append(number)
        except NameTakenError:
            pass
    print(*won, flush=True)
    sys.stdin.read()
"""


def test_of_two_labs_exactly_one_makes_each_name(foreign: ForeignBroker) -> None:
    with _lab(foreign, RACER) as one, _lab(foreign, RACER) as other:
        labs = (one, other)
        for lab in labs:
            lab.stdin.write("go\n")
            lab.stdin.flush()
        won = [set(lab.stdout.readline().split()) for lab in labs]
        labs[0].communicate(timeout=60)
        left = {name.removeprefix("race-") for name in foreign.names()}
        labs[1].communicate(timeout=60)

    assert sorted([*won[0], *won[1]]) == sorted(map(str, range(10)))
    assert left == won[1]
    assert foreign.names() == set()


def test_threads_declare_at_the_same_time(lab: Broker, as_user: ForeignBroker) -> None:
    barrier = threading.Barrier(4)

    def declare(broker: Broker) -> None:
        with channel_to(broker) as channel:
            barrier.wait(10)
            for name in ("a", "b", "c"):
                channel.queue_declare(name, durable=True)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(declare, [lab] * 4))
    assert as_user.names() == {"a", "b", "c"}


def test_brokers_of_one_process_share_what_they_made(as_user: ForeignBroker) -> None:
    originals = [getattr(Channel, name) for name in METHODS]
    with start_broker() as first, channel_to(first) as channel:
        channel.queue_declare("first", durable=True)
        channel.queue_declare(names.TASKS, durable=True)
        with start_broker() as second, channel_to(second) as other:
            other.queue_declare(names.TASKS, durable=True)
            other.queue_purge("first")
            other.queue_declare("second", durable=True)
            channel.queue_delete(names.TASKS)
            assert as_user.names() == {"first", "second"}
        assert as_user.names() == {"first"}
        assert [getattr(Channel, name) for name in METHODS] != originals
        channel.queue_declare("third", durable=True)

    assert as_user.names() == set()
    assert [getattr(Channel, name) for name in METHODS] == originals


FORKING = OWNER.replace(
    '    print("ready"',
    """
    import os, pika, time
    child = os.fork()
    if child == 0:
        pika.BlockingConnection(broker.parameters).channel().queue_declare("child", durable=True)
        time.sleep(CHILD_S)
        sys.exit()
    if not CHILD_S:
        os.waitpid(child, 0)
    print(child, flush=True)
    print("ready\"""",
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_forked_child_leaves_the_labs_things_alone_and_keeps_none(foreign: ForeignBroker, end: str) -> None:
    child_s = 0 if end == "stopped" else 30  # in which it holds the pipe to the reaper
    with _process("-c", FORKING.replace("CHILD_S", str(child_s)), **foreign.environment("user")) as process:
        child = int(process.stdout.readline())
        read_until(process.stdout, "ready")
        assert eventually(lambda: {names.TASKS, names.EVENTS, "child"} <= foreign.names())
        if end == "stopped":
            process.communicate(timeout=60)
            assert process.returncode == 0
            assert foreign.names() == {"child"}
        else:
            process.kill()
            try:
                assert eventually(lambda: names.TASKS not in foreign.names())
            finally:
                os.kill(child, signal.SIGKILL)


# --- what it says, and shows --------------------------------------------------------------


def test_a_shared_virtual_host_is_said(lab: Broker, as_user: ForeignBroker) -> None:
    assert repr(lab).endswith(", shared virtual host 'shared'>")
    for who in ("user", "administrator"):
        code, out, err = run_command("broker", sys.executable, "-c", "", **as_user.environment(who))
        assert code == 0
        assert ("The virtual host 'shared' is shared with others." in out + err) == (who == "user")
    lab.stop()
    assert lab.shared_virtual_host is None


@pytest.mark.parametrize("case", ["no tag", "management", "an administrator without an API"])
def test_only_the_labs_own_queues_are_shown(as_user: ForeignBroker, monkeypatch, case: str) -> None:
    as_user.let_in(tags={"no tag": "", "management": case}.get(case, "administrator"))
    if case == "management":
        monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", as_user.management_url)
    with start_broker() as broker, channel_to(broker) as channel, contextlib.closing(watch(broker)) as view:
        assert broker.parameters.virtual_host == SHARED
        with as_user.stranger() as other:
            for name in ("theirs", "engine:unrouted"):
                other.queue_declare(name, durable=True)
        assert len(broker.queues()) == 0
        channel.queue_declare(names.TASKS, durable=True)
        channel.queue_declare("mine", exclusive=True)
        assert list(broker.queues()["name"]) == [names.TASKS, "mine"]
        assert list(broker.wait_for_queue(names.TASKS, ready=0)["name"]) == [names.TASKS]
        assert eventually(lambda: names.TASKS in view.picture)
        assert not any(name in view.picture for name in ("theirs", "engine:unrouted"))
    assert as_user.names() == {"theirs", "engine:unrouted"}


# --- an administrator's virtual host ------------------------------------------------------


def test_a_virtual_host_without_rights_in_it_is_deleted_again(as_administrator: ForeignBroker) -> None:
    before = as_administrator.definitions()
    create = Management.create_virtual_host

    def create_half(management: Management, name: str) -> None:
        create(management, name)
        assert as_administrator.definitions() != before
        raise ManagementError("no. Next: nothing")

    with patch.object(Management, "create_virtual_host", create_half), pytest.raises(ManagementError):
        start_broker()

    assert as_administrator.definitions() == before


# --- a broker that goes away ----------------------------------------------------------------


def test_a_broker_that_is_gone_is_one_sentence(lab: Broker, as_user: ForeignBroker) -> None:
    as_user.let_in(password="changed")
    with pytest.raises(BrokerUnavailableError, match="Next: "):
        lab.queues()
    as_user.let_in()


def test_a_connection_that_is_lost_while_waiting_is_one_sentence(lab: Broker, monkeypatch) -> None:
    with Link(lab) as link:
        address = Address.parse(link.url)
        monkeypatch.setattr(lab, "_endpoint", dataclasses.replace(lab._running, address=address))
        timer = threading.Timer(0.3, link.drop)
        timer.start()
        with pytest.raises(BrokerError, match=r"was lost.*Next: "):
            lab.wait_for_queue(names.TASKS, ready=0, timeout_s=20)
        timer.join()
