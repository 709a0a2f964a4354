"""The ports that brokers are given, and where they are."""

from __future__ import annotations

import socket

import pytest

from rmqlab.broker import _source
from rmqlab.broker._container import _is_this_machine
from rmqlab.broker._source import free_ports


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("192.0.2.1", False),  # an address for documents: nobody has it
        ("no-such-host.invalid", False),
    ],
)
def test_an_engine_is_local_where_its_host_is_this_machine(host: str, expected: bool) -> None:
    assert _is_this_machine(host) is expected


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(_source, "PORTS", [port, *free_ports(3)])

        assert port not in free_ports(3)
