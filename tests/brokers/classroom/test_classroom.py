"""A room on somebody's broker: seats that do not meet, limits that hold, an end that leaves nothing."""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pika
import pytest
from helpers import assert_one_sentence, channel_to, eventually, run_command, run_python
from pika import exceptions as amqp_errors

from rmqlab.broker import OwnBroker
from rmqlab.broker._management import Management
from rmqlab.classroom.room import Limits, Room, Seat
from rmqlab.classroom.screen import PAGE, serve
from rmqlab.course import NOTEBOOKS
from rmqlab.errors import ClassroomError, ManagementError

SEATS = 20
LESSON = NOTEBOOKS / "00_start_here.ipynb"
# A learner's program: it must find its own messages in the queue that all seats call the same.
LEARNER = """
import sys, pika
from rmqlab.broker import start_broker
from rmqlab.broker._management import Management
with start_broker() as broker, pika.BlockingConnection(broker.parameters) as connection:
    channel = connection.channel()
    channel.queue_declare("engine:tasks")
    for _ in range(20):
        channel.basic_publish("", "engine:tasks", sys.argv[1].encode())
    found = [channel.basic_get("engine:tasks", auto_ack=True)[2].decode() for _ in range(20)]
    with Management(broker.management_url, broker.address) as management:
        queues = sorted({(queue["vhost"], queue["name"]) for queue in management.call("GET", "/queues")})
    print(sorted(set(found)), channel.basic_get("engine:tasks")[0], queues)
"""


@pytest.fixture
def room(own_broker: OwnBroker, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A room that is not open yet, and as good as never been there afterwards."""
    for name, value in own_broker.environment().items():
        monkeypatch.setenv(name, value)
    before = _definitions(own_broker)
    room = Room("test")
    yield room
    room.end()
    assert _definitions(own_broker) == before


def _definitions(host: OwnBroker) -> Any:
    with Management(host.management_url or "", host.address) as management:
        found = management.call("GET", "/definitions")
    return {kind: each for kind, each in found.items() if isinstance(each, list)}


def _settings(own_broker: OwnBroker, room: Room, seat: Seat) -> dict[str, str]:
    own = {"AMQP_URL": seat.url, "RMQLAB_CLASSROOM": room.virtual_host}
    return own_broker.environment() | own


def test_seats_at_work_do_not_meet(own_broker: OwnBroker, room: Room) -> None:
    seats = room.open(SEATS, Limits())

    def learn(seat: Seat) -> str:
        code, out, err = run_python("-c", LEARNER, seat.name, **_settings(own_broker, room, seat))
        assert code == 0, err
        return out.strip()

    with ThreadPoolExecutor(SEATS) as pool:
        for seat, said in zip(seats, pool.map(learn, seats), strict=True):
            theirs = [(room.virtual_host, "progress"), (seat.name, "engine:tasks")]
            assert said == f"['{seat.name}'] None {theirs}"
    assert room.end() == SEATS


def test_a_seat_that_misbehaves_stops_at_its_limits_and_another_goes_on(room: Room) -> None:
    bad, good = room.open(2, Limits(connections=6, queues=5, megabytes=1))
    with channel_to(good.url) as other, contextlib.ExitStack() as stack:
        other.queue_declare("mine")
        with pytest.raises(amqp_errors.AMQPConnectionError):
            for _ in range(30):
                stack.enter_context(pika.BlockingConnection(pika.URLParameters(bad.url)))
        stack.close()
        with channel_to(bad.url) as channel:
            channel.confirm_delivery()
            channel.queue_declare("flood", durable=True)
            for _ in range(100):
                channel.basic_publish("", "flood", b"x" * 100_000)
            assert eventually(lambda: channel.queue_declare("flood", passive=True).method.message_count <= 10)
            with pytest.raises(amqp_errors.AMQPError):
                for number in range(30):
                    channel.queue_declare(f"queue {number}")
        other.basic_publish("", "mine", b"still here")
        assert other.basic_get("mine", auto_ack=True)[2] == b"still here"


def test_a_seat_sees_its_own_virtual_host_alone(room: Room) -> None:
    mine, theirs = room.open(2, Limits())
    for place in (theirs.name, "%2F"):
        with pytest.raises(amqp_errors.AMQPConnectionError):
            pika.BlockingConnection(pika.URLParameters(mine.url.removesuffix(mine.name) + place))
    own_room = mine.url.removesuffix(mine.name) + room.virtual_host
    for user, refusal in ((mine.name, "ACCESS_REFUSED"), (theirs.name, "authenticated user was")):
        with channel_to(own_room) as channel, pytest.raises(amqp_errors.ChannelClosedByBroker, match=refusal):
            channel.basic_publish("progress", "", b"{}", pika.BasicProperties(user_id=user))
            channel.basic_get("progress")  # reports are to be read by the teacher alone


def test_the_page_shows_how_far_a_seat_is(own_broker: OwnBroker, room: Room, tmp_path: Path) -> None:
    [seat] = room.open(1, Limits())
    with serve(room, port=0) as address:
        code, _, err = run_command(
            "run", "--output", str(tmp_path), str(LESSON), **_settings(own_broker, room, seat)
        )
        assert code == 0, err

        def shown() -> dict[str, int]:
            with urlopen(f"{address}progress", timeout=10) as answer:
                return json.load(answer)["seats"][0]["done"]

        assert eventually(lambda: shown() == {"00": 100})
        with urlopen(address, timeout=10) as answer:
            assert answer.read() == PAGE.read_bytes()


@pytest.mark.parametrize("kind", ["virtual own_broker", "user"])
def test_what_has_a_seats_name_is_left_alone(own_broker: OwnBroker, room: Room, kind: str) -> None:
    path = {"virtual own_broker": "/vhosts/rmqlab-test-02", "user": "/users/rmqlab-test-02"}[kind]
    with Management(own_broker.management_url or "", own_broker.address) as management:
        management.call("PUT", path, {"password": "x", "tags": ""} if kind == "user" else {})
        try:
            with pytest.raises(ClassroomError) as error:
                room.open(3, Limits())
            assert_one_sentence(str(error.value), "rmqlab-test-02 already", next_step="--end")
            assert room.end() == 0
            assert management.call("GET", path)
        finally:
            management.call("DELETE", path)


def test_a_room_that_cannot_be_made_whole_is_not_made(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Management.call

    def refuse(management: Management, method: str, path: str, *more: object, **options: object) -> Any:
        if path == "/users/rmqlab-test-03":
            raise ManagementError("no. Next: nothing")
        return call(management, method, path, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Management, "call", refuse)
    with pytest.raises(ManagementError):
        room.open(4, Limits())
    assert not room.seats()


def test_the_command_makes_a_room_and_ends_it(own_broker: OwnBroker, room: Room, tmp_path: Path) -> None:
    run = functools.partial(run_command, "classroom", cwd=tmp_path, **own_broker.environment())
    code, out, err = run("2", "--room", "test", "--host", "broker.example")
    assert code == 0, err
    page, table = tmp_path / "classroom-test.html", tmp_path / "classroom-test.csv"
    assert str(page) in out
    if os.name == "posix":
        assert {path.stat().st_mode & 0o77 for path in (page, table)} == {0}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seat"] for row in rows] == ["01", "02"]
    assert all("@broker.example:" in row["AMQP_URL"] for row in rows)
    assert all(row["AMQP_URL"] in page.read_text() for row in rows)
    assert run("2", "--room", "test")[0] == 1
    assert run("--end", "--room", "test") == (0, "The room test has ended; it had 2 seats.\n", "")


def test_seats_whose_cards_cannot_be_written_are_taken_away(
    own_broker: OwnBroker, room: Room, tmp_path: Path
) -> None:
    (tmp_path / "classroom-test.html").mkdir()  # in the way
    code, _, err = run_command("classroom", "2", "--room", "test", cwd=tmp_path, **own_broker.environment())

    assert code == 1
    assert "cards cannot be written" in err
    assert not room.seats()


@pytest.mark.parametrize(
    ("arguments", "settings", "clue"),
    [
        (["3"], {"AMQP_URL": ""}, "AMQP_URL is not set"),
        (["3", "--room", "My room"], {}, "no name of a room"),
        ([], {}, "no room 'room'"),
    ],
)
def test_a_room_that_cannot_be_is_one_sentence(
    own_broker: OwnBroker, arguments: list[str], settings: dict[str, str], clue: str
) -> None:
    code, _, err = run_command("classroom", *arguments, **(own_broker.environment() | settings))

    assert code == 1
    assert_one_sentence(err.removeprefix("rmqlab: "), clue)
