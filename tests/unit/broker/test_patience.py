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
    broker._endpoint = Endpoint(Address.parse(url), None, "4.0.5")
    return broker


def test_a_broker_of_the_lab_is_asked_for_no_heartbeats_and_the_system_looks_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "TCP_KEEPIDLE", 4, raising=False)
    parameters = _broker(URL).parameters
    assert parameters.heartbeat == 0
    assert parameters.tcp_options["TCP_KEEPIDLE"] == 60

    monkeypatch.delattr(socket, "TCP_KEEPIDLE")  # as on macOS, where pika would warn of it
    parameters = _broker(URL).parameters
    assert parameters.heartbeat == 0
    assert not parameters.tcp_options


def test_a_url_with_a_heartbeat_is_followed() -> None:
    assert _broker(f"{URL}?socket_timeout=3&heartbeat=600").parameters.heartbeat == 600
