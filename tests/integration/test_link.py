"""A link to a real broker: what it delays, what it leaves alone, and that it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pika
import psutil
import pytest

from rmqlab.amqp import Publisher, confirm_window, connect
from rmqlab.broker import Address, Broker, Link
from rmqlab.errors import BrokerError, BrokerUnavailableError

DELAY_MS = 20
ROUND_TRIP_S = 2 * DELAY_MS / 1000


@pytest.fixture(autouse=True)
def _nothing_stays():
    threads, sockets = _link_threads(), _sockets()
    yield
    assert _link_threads() == threads
    assert _sockets() <= sockets


def _link_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "rmqlab-link"}


def _sockets() -> set[int]:
    return {connection.fd for connection in psutil.Process().net_connections("tcp")}


@contextlib.contextmanager
def _channel(url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    yield connection.channel()
    if connection.is_open:
        connection.close()


def _round_trip_s(channel: pika.adapters.blocking_connection.BlockingChannel) -> float:
    """Measure the quickest of a few round trips: what else runs only ever adds."""
    times_s = []
    for _ in range(5):
        started_s = time.monotonic()
        channel.basic_qos(prefetch_count=1)  # asks, and waits for the answer
        times_s.append(time.monotonic() - started_s)
    return min(times_s)


def _read_all(
    channel: pika.adapters.blocking_connection.BlockingChannel, queue: str, count: int
) -> list[bytes]:
    bodies = []
    for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
        if body is None:
            break
        bodies.append(body)
        if len(bodies) == count:
            break
    return bodies


def _port(link: Link) -> int:
    port = urlsplit(link.url).port
    assert port
    return port


def test_a_round_trip_takes_twice_the_delay_longer(broker: Broker) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        assert ROUND_TRIP_S <= _round_trip_s(channel) < 10 * ROUND_TRIP_S


def test_without_a_delay_a_link_is_no_distance(broker: Broker) -> None:
    with Link(broker) as link, _channel(link.url) as channel:
        assert _round_trip_s(channel) < ROUND_TRIP_S / 2


def test_a_large_body_passes_intact_both_ways(broker: Broker) -> None:
    body = os.urandom(1_000_000)
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, body)

        assert _read_all(channel, queue, 1) == [body]


def test_many_messages_keep_their_order_and_are_not_delayed_one_by_one(broker: Broker) -> None:
    bodies = [b"%d" % number for number in range(1000)]
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        started_s = time.monotonic()
        for body in bodies:
            channel.basic_publish("", queue, body)
        received = _read_all(channel, queue, len(bodies))
        took_s = time.monotonic() - started_s

    assert received == bodies
    assert took_s < len(bodies) * DELAY_MS / 1000 / 4


def test_a_window_of_unconfirmed_messages_bridges_the_distance(broker: Broker) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        with Link(broker, delay_ms=DELAY_MS) as link:
            started_s = time.monotonic()
            with Publisher(link.url, routing_key=queue, confirms=confirm_window(500)) as publisher:
                for number in range(1000):
                    publisher.publish(b"%d" % number)
                publisher.flush()
            took_s = time.monotonic() - started_s

        assert took_s < 1000 * DELAY_MS / 1000 / 4
        assert channel.queue_declare(queue, passive=True).method.message_count == 1000


def test_two_connections_do_not_hold_up_each_other(broker: Broker) -> None:
    with Link(broker, delay_ms=DELAY_MS) as link, _channel(link.url) as one, _channel(link.url) as two:
        times_s: list[float] = []
        started_s = time.monotonic()
        threads = [
            threading.Thread(target=lambda channel=each: times_s.append(_round_trip_s(channel)))
            for each in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(times_s) == 2
        assert time.monotonic() - started_s < 2 * 5 * ROUND_TRIP_S * 3
        assert all(ROUND_TRIP_S <= each < 10 * ROUND_TRIP_S for each in times_s)


def test_a_refused_password_explains_itself_through_the_link(broker: Broker) -> None:
    wrong = dataclasses.replace(Address.parse(broker.url), password="wr0ng")
    with (
        Link(wrong.url, delay_ms=DELAY_MS) as link,
        pytest.raises(BrokerUnavailableError, match=r"refuses user.*Next: correct user and password"),
    ):
        connect(link.url)


def test_a_link_listens_on_loopback_only(broker: Broker) -> None:
    with Link(broker) as link:
        port = _port(link)
        (listening,) = {
            each.laddr
            for each in psutil.Process().net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port
        }

        assert listening.ip == "127.0.0.1"


def test_a_link_shows_no_password() -> None:
    with Link("amqp://guest:s3cr3t@localhost/lab", delay_ms=2.5) as link:
        assert repr(link) == "<Link to amqp://guest:***@localhost:5672/lab, delay_ms=2.5>"
        assert link.url.startswith("amqp://guest:s3cr3t@127.0.0.1:")
        assert link.url.endswith("/lab")

    assert repr(link).endswith("closed>")


def test_closing_ends_open_connections_at_once(broker: Broker) -> None:
    link = Link(broker, delay_ms=10_000)
    with socket.create_connection(("127.0.0.1", _port(link))) as client:
        client.sendall(b"AMQP\x00\x00\x09\x01")
        client.settimeout(5)
        time.sleep(0.1)  # until the link has made its own connection
        started_s = time.monotonic()
        link.close()
        link.close()

        assert time.monotonic() - started_s < 1
        assert _is_closed(client)
    with pytest.raises(OSError):  # noqa: PT011 - as each system words it
        socket.create_connection(("127.0.0.1", _port(link)), timeout=1)


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_closing_ends_connections_that_were_only_just_accepted(broker: Broker) -> None:
    for _ in range(20):
        link = Link(broker, delay_ms=1)
        clients = [socket.create_connection(("127.0.0.1", _port(link))) for _ in range(5)]
        link.close()
        for client in clients:
            client.close()


def test_without_a_broker_the_client_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    caplog.set_level(logging.INFO, "rmqlab.broker")
    with (
        Link(f"amqp://guest:guest@127.0.0.1:{port}/", delay_ms=1) as link,
        socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as client,
    ):
        assert _is_closed(client)
        with pytest.raises(BrokerUnavailableError):
            connect(link.url)

    assert f"reaches no broker at amqp://guest:***@127.0.0.1:{port}/" in caplog.text


@pytest.mark.parametrize("closer", ["broker", "client"])
def test_the_end_of_one_side_reaches_the_other_after_its_last_bytes(closer: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}", delay_ms=100) as link,
        socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as client,
    ):
        peer, _ = server.accept()
        with peer:
            peer.settimeout(5)
            here, there = (peer, client) if closer == "broker" else (client, peer)
            started_s = time.monotonic()
            here.sendall(b"good")
            here.sendall(b"bye")
            here.close()
            with there.makefile("rb") as file:
                assert file.read() == b"goodbye"

            assert time.monotonic() - started_s >= 0.1


def test_a_side_that_takes_nothing_holds_up_the_other() -> None:
    piece = bytes(1_000_000)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}", delay_ms=1) as link,
        socket.create_connection(("127.0.0.1", _port(link))) as client,
    ):
        peer, _ = server.accept()
        client.settimeout(1)
        sent = 0
        with peer, contextlib.suppress(TimeoutError):
            while sent < 200_000_000:
                sent += client.send(piece)

    assert sent < 100_000_000


def test_a_cut_holds_what_is_sent_and_delivers_it_afterwards_in_order(broker: Broker) -> None:
    with Link(broker) as link, _channel(link.url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.cut() as outage:
            for number in range(100):
                channel.basic_publish("", queue, b"%d" % number)
            channel.connection.sleep(0.2)
            assert channel.is_open

        assert outage.lasted_s >= 0.2
        assert _read_all(channel, queue, 100) == [b"%d" % number for number in range(100)]


def test_a_cut_is_silent_in_both_directions_and_for_new_connections() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}") as link,
        socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as client,
    ):
        peer, _ = server.accept()
        with peer:
            peer.settimeout(5)
            server.settimeout(0.2)
            with link.cut(), socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as new:
                new.sendall(b"hello")
                client.sendall(b"to the broker")
                peer.sendall(b"to the client")
                for end in (client, peer):
                    end.settimeout(0.2)
                    with pytest.raises(TimeoutError):
                        end.recv(1)
                    end.settimeout(5)
                with pytest.raises(TimeoutError):
                    server.accept()
            assert peer.recv(100) == b"to the broker"
            assert client.recv(100) == b"to the client"
            server.settimeout(5)
            late, _ = server.accept()
            with late:
                late.settimeout(5)
                with late.makefile("rb") as file:
                    assert file.read() == b"hello"


def test_a_side_that_leaves_during_a_cut_is_missed_afterwards() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}") as link,
        socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as client,
    ):
        peer, _ = server.accept()
        with link.cut():
            peer.close()
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(5)

        assert _is_closed(client)


def test_a_long_cut_is_noticed_by_heartbeats(broker: Broker) -> None:
    with (
        Link(broker) as link,
        _channel(f"{link.url}?heartbeat=1") as channel,
        _channel(broker.url) as direct,
    ):
        queue = channel.queue_declare("", exclusive=True).method.queue
        with link.cut():
            # The broker gives up the client, and deletes what was the client's alone.
            deadline_s = time.monotonic() + 20
            while _is_there(direct.connection, queue):
                assert time.monotonic() < deadline_s
                direct.connection.sleep(0.1)
            assert channel.is_open  # nobody could tell the client
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            channel.connection.sleep(5)


def _is_there(connection: pika.BlockingConnection, queue: str) -> bool:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        connection.channel().queue_declare(queue, passive=True)
    return caught.value.reply_code == 405  # another connection's, and not "not found"


def test_a_block_that_fails_ends_the_cut(broker: Broker) -> None:
    with Link(broker) as link:
        with pytest.raises(KeyboardInterrupt), link.cut():
            raise KeyboardInterrupt
        with _channel(link.url) as channel:
            assert channel.is_open


def test_a_link_that_is_cut_can_be_closed(broker: Broker) -> None:
    link = Link(broker)
    with socket.create_connection(("127.0.0.1", _port(link)), timeout=5) as client:
        with link.cut():
            link.close()
            assert _is_closed(client)
    with pytest.raises(BrokerError, match=r"This link is closed.*Next: "), link.cut():
        pass
    with pytest.raises(BrokerError, match=r"This link is closed.*Next: "):
        link.drop()


def test_a_drop_resets_both_sides_of_every_connection_and_takes_new_ones() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Link(f"amqp://127.0.0.1:{server.getsockname()[1]}", delay_ms=50) as link,
        contextlib.ExitStack() as stack,
    ):
        ends = []
        for _ in range(3):
            ends.append(stack.enter_context(socket.create_connection(("127.0.0.1", _port(link)), timeout=5)))
            ends.append(stack.enter_context(server.accept()[0]))

        assert link.drop() == 3

        for end in ends:
            end.settimeout(5)
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert link.drop() == 0
        stack.enter_context(socket.create_connection(("127.0.0.1", _port(link)), timeout=5))
        stack.enter_context(server.accept()[0])


def test_a_waiting_link_needs_no_time_of_the_processor(broker: Broker) -> None:
    with Link(broker, delay_ms=50) as link, connect(link.url):
        before_s = time.process_time()
        time.sleep(0.5)

        assert time.process_time() - before_s < 0.1


def test_a_link_ends_with_the_interpreter() -> None:
    code = (
        "from rmqlab.broker import Link; import socket; from urllib.parse import urlsplit\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "link = Link(f'amqp://127.0.0.1:{server.getsockname()[1]}', delay_ms=60_000)\n"
        "client = socket.create_connection(('127.0.0.1', urlsplit(link.url).port))\n"
        "client.sendall(b'on its way')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=20
    )

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("delay_ms", [-1, float("nan"), float("inf")])
def test_a_delay_is_a_number_from_0(delay_ms: float) -> None:
    with pytest.raises(ValueError, match="delay_ms is"):
        Link("amqp://localhost", delay_ms=delay_ms)


def test_a_link_does_not_carry_tls() -> None:
    with pytest.raises(BrokerError, match=r"amqps://.*Next: ") as caught:
        Link("amqps://guest:s3cr3t@localhost")

    assert "s3cr3t" not in str(caught.value)


def test_a_link_needs_a_host_that_there_is() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"No host is called.*Next: "):
        Link("amqp://no-such-host.invalid")
