"""Sessions with a server that does what no real broker does on demand."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_amqp import FakeServer
from pika import spec

from rmqlab.amqp import Consumer, Publisher, Recovery, confirm_each
from rmqlab.amqp import _session as limits
from rmqlab.amqp._session import Session
from rmqlab.errors import BrokerUnavailableError, ConnectionLostError, TimeLimitError

CLOSES = (spec.Connection.Close, spec.Channel.Close)
SOON_S = 8  # for what has a limit of its own that is well below


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_TIMEOUT_S", 0.3)


def test_a_close_without_an_answer_leaves_no_socket_open() -> None:
    with FakeServer(unanswered=CLOSES) as server:
        Session(server.url, name="patient").open().close()

        server.peers[0].wait_until_ended()


def test_a_connection_that_ends_late_does_not_end_the_one_in_its_place() -> None:
    with (
        FakeServer(unanswered=CLOSES) as server,
        contextlib.closing(Session(server.url, name="new", recovery=Recovery()).open()) as session,
    ):
        session.recover(ConnectionLostError())

        server.peers[0].end()
        session.call(session.channel.basic_qos, prefetch_count=1)
        session.check()
        assert len(server.peers) == 2


@pytest.mark.parametrize("stage", [spec.Connection.StartOk, spec.Connection.Open, spec.Channel.Open])
def test_a_handshake_that_stops_ends_in_time_and_leaves_no_socket_open(
    stage: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OPEN_TIMEOUT_S", 0.3)
    with FakeServer(unanswered=[stage, *CLOSES]) as server:
        begin_s = time.monotonic()

        with pytest.raises((TimeLimitError, BrokerUnavailableError), match="Next: "):
            Publisher(server.url, routing_key="queue")

        assert time.monotonic() - begin_s < SOON_S
        server.peers[0].wait_until_ended()


def test_frames_that_come_in_two_pieces_are_read() -> None:
    bodies: list[bytes] = []
    with (
        FakeServer(cuts_frames=True) as server,
        Consumer(server.url, "queue", lambda *message: bodies.append(message[2])) as consumer,
        ThreadPoolExecutor(1) as thread,
    ):
        peer = server.peers[0]

        def deliver() -> None:
            peer.wait_for(spec.Basic.Consume)
            peer.deliver(1, b"in two pieces")

        delivering = thread.submit(deliver)
        assert consumer.run(count=1, for_s=SOON_S) == 1
        delivering.result()
        peer.wait_for(spec.Basic.Ack)

    assert bodies == [b"in two pieces"]


def test_a_connection_that_ends_in_the_middle_of_a_frame_is_lost() -> None:
    with FakeServer() as server:
        publisher = Publisher(server.url, routing_key="queue", confirms=confirm_each())
        server.peers[0].send_bytes(spec.Basic.Ack(1).encode()[0][:1])
        server.peers[0].end()

        with pytest.raises(ConnectionLostError, match="Next: "):
            publisher.publish(b"x")
        with pytest.raises(ConnectionLostError):
            publisher.close()


def test_a_confirm_of_a_lost_connection_confirms_nothing_on_the_new_one() -> None:
    with FakeServer(unanswered=CLOSES) as server:
        recovery = Recovery(first_wait_s=0.01, timeout_s=SOON_S)
        publisher = Publisher(server.url, routing_key="queue", recovery=recovery)
        publisher.publish(b"first")
        publisher.publish(b"second")
        server.peers[0].wait_for(spec.Basic.Publish)
        server.peers[0].end()
        publisher.publish(b"third")
        end_s = time.monotonic() + SOON_S
        while publisher.republished == 0 and time.monotonic() < end_s:
            publisher.wait(0.01)
        assert publisher.republished >= 2  # the third as well, where the end was noticed after it

        new = server.peers[1]
        new.send(spec.Basic.Ack(2, multiple=True))
        while publisher.unconfirmed > 1:
            publisher.wait(0.01)
        new.send(spec.Basic.Ack(3))
        publisher.close()
        assert (publisher.confirmed, publisher.unconfirmed) == (3, 0)
