"""What connections to a broker of the lab ask for: a reader may pause for an hour."""

from __future__ import annotations

import socket

import pytest

from rmqlab.broker import Broker
from rmqlab.broker._address import Address
from rmqlab.broker._source import Endpoint

URL = "amqp://user:s3cr3t@localhost:5672/lab"


def _broker(url: str) -> Broker:
    broker = Broker("external")
    broker._endpoint = Endpoint(Address.parse(url), None, "4.0.5", whole_virtual_host=True)
    return broker


def test_a_broker_of_the_lab_is_asked_for_no_heartbeats_and_the_system_looks_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "TCP_KEEPIDLE", 4, raising=False)
    parameters = _broker(URL).parameters

    assert parameters.heartbeat == 0
    assert parameters.tcp_options["TCP_KEEPIDLE"] == 60


def test_keepalive_is_left_out_where_pika_would_warn_of_it_at_each_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)  # as on macOS
    parameters = _broker(URL).parameters

    assert parameters.heartbeat == 0
    assert not parameters.tcp_options


@pytest.mark.parametrize(
    ("query", "heartbeat"), [("heartbeat=7", 7), ("heartbeat=0", 0), ("socket_timeout=3&heartbeat=600", 600)]
)
def test_a_url_with_a_heartbeat_is_followed(query: str, heartbeat: int) -> None:
    parameters = _broker(f"{URL}?{query}").parameters

    assert parameters.heartbeat == heartbeat
