"""A link to a plain TCP server, on any system: what it delays and holds, and that it ends."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from helpers import run_python

from rmqlab.amqp import connect
from rmqlab.broker import Link
from rmqlab.errors import BrokerUnavailableError

DELAY_MS = 20


pytestmark = pytest.mark.usefixtures("no_link_stays")


@pytest.fixture
def server(no_link_stays: None) -> Iterator[socket.socket]:
    """What the link leads to, and a test accepts connections of."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


def _connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(link.url).port or 0), timeout=5)


@contextlib.contextmanager
def _connected(server: socket.socket, *, delay_ms: float = 0) -> Iterator[tuple[Any, Any, Any]]:
    """A link, and both ends of a connection over it: the client's and the broker's."""
    url = f"amqp://127.0.0.1:{server.getsockname()[1]}"
    with Link(url, delay_ms=delay_ms) as link, _connect(link) as client, server.accept()[0] as peer:
        peer.settimeout(5)
        yield link, client, peer


def test_bytes_take_the_delay_each_way_and_are_not_delayed_one_by_one(server: socket.socket) -> None:
    pieces = [b"%6d" % number for number in range(1000)]
    with _connected(server, delay_ms=DELAY_MS) as (_, client, peer):
        started_s = time.perf_counter()
        for data in pieces:
            client.sendall(data)
        with peer.makefile("rb") as arriving, client.makefile("rb") as coming_back:
            received = arriving.read(6 * len(pieces))
            there_s = time.perf_counter() - started_s
            peer.sendall(received)
            assert coming_back.read(6 * len(pieces)) == b"".join(pieces)
            back_s = time.perf_counter() - started_s

    assert received == b"".join(pieces)
    assert there_s >= DELAY_MS / 1000
    assert 2 * DELAY_MS / 1000 <= back_s < len(pieces) * DELAY_MS / 1000 / 4


def test_a_link_listens_on_loopback_only_and_shows_no_password() -> None:
    with Link("amqp://guest:s3cr3t@localhost/lab", delay_ms=2.5) as link:
        connections = psutil.Process().net_connections("tcp")
        listening = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]

        assert [each.ip for each in listening if each.port == urlsplit(link.url).port] == ["127.0.0.1"]
        assert repr(link) == "<Link to amqp://guest:***@localhost:5672/lab, delay_ms=2.5>"
        assert link.url.startswith("amqp://guest:s3cr3t@127.0.0.1:")
        assert link.url.endswith("/lab")

    assert repr(link).endswith("closed>")


def test_closing_ends_open_connections_at_once(server: socket.socket) -> None:
    with _connected(server, delay_ms=10_000) as (link, client, _):
        client.sendall(b"on its way")
        started_s = time.monotonic()
        link.close()
        link.close()

        assert time.monotonic() - started_s < 1
        assert _is_closed(client)
    with pytest.raises(OSError):  # noqa: PT011 - as each system words it
        _connect(link)


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_without_a_broker_the_client_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rmqlab.broker")
    with Link("amqp://guest:guest@127.0.0.1:1/", delay_ms=1) as link, _connect(link) as client:
        assert _is_closed(client)
        with pytest.raises(BrokerUnavailableError):
            connect(link.url)

    assert "reaches no broker at amqp://guest:***@127.0.0.1:1/" in caplog.text


@pytest.mark.parametrize("closer", ["broker", "client"])
def test_the_end_of_one_side_reaches_the_other_after_its_last_bytes(
    server: socket.socket, closer: str
) -> None:
    with _connected(server, delay_ms=100) as (_, client, peer):
        here, there = (peer, client) if closer == "broker" else (client, peer)
        started_s = time.monotonic()
        here.sendall(b"good")
        here.sendall(b"bye")
        here.close()
        with there.makefile("rb") as file:
            assert file.read() == b"goodbye"

        assert time.monotonic() - started_s >= 0.1


def test_a_side_that_takes_nothing_holds_up_the_other(server: socket.socket) -> None:
    data = bytes(1_000_000)
    with _connected(server, delay_ms=1) as (_, client, _):
        client.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200_000_000:
                sent += client.send(data)

    assert sent < 100_000_000


def _assert_silent(end: socket.socket) -> None:
    end.settimeout(0.2)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(5)


def test_a_cut_is_silent_in_both_directions_and_for_new_connections(server: socket.socket) -> None:
    with _connected(server) as (link, client, peer):
        server.settimeout(0.2)
        with link.partitioned(), _connect(link) as new:
            new.sendall(b"hello")
            client.sendall(b"to the broker")
            peer.sendall(b"to the client")
            for end in (client, peer):
                _assert_silent(end)
            with pytest.raises(TimeoutError):
                server.accept()
        assert peer.recv(100) == b"to the broker"
        assert client.recv(100) == b"to the client"
        server.settimeout(5)
        late, _ = server.accept()
        with late, late.makefile("rb") as file:
            assert file.read() == b"hello"


def test_a_side_that_leaves_during_a_cut_is_missed_afterwards(server: socket.socket) -> None:
    with _connected(server) as (link, client, peer):
        with link.partitioned():
            peer.close()
            _assert_silent(client)

        assert _is_closed(client)


def test_a_drop_resets_both_sides_of_every_connection_and_takes_new_ones(server: socket.socket) -> None:
    with _connected(server, delay_ms=50) as (link, *ends):
        with _connect(link) as other, server.accept()[0] as other_peer:
            other_peer.settimeout(5)

            assert link.drop() == 2

            for end in (*ends, other, other_peer):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)
        assert link.drop() == 0
        _connect(link).close()
        server.accept()[0].close()


def test_a_link_ends_with_the_interpreter() -> None:
    code = (
        "from rmqlab.broker import Link; import socket; from urllib.parse import urlsplit\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "link = Link(f'amqp://127.0.0.1:{server.getsockname()[1]}', delay_ms=60_000)\n"
        "client = socket.create_connection(('127.0.0.1', urlsplit(link.url).port))\n"
        "client.sendall(b'on its way')\n"
    )
    assert run_python("-c", code) == (0, "", "")


@pytest.mark.parametrize("delay_ms", [-1, float("nan"), float("inf")])
def test_a_delay_is_a_number_from_0(delay_ms: float) -> None:
    with pytest.raises(ValueError, match="delay_ms is"):
        Link("amqp://localhost", delay_ms=delay_ms)
