"""TLS for real: a node with certificates of a CA of our own, and a lesson over it.

The node has one listener more for each server that a client should not trust, or that does not
trust a client without a certificate.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme
from helpers import assert_one_sentence, channel_to, require, run_command, take_all

from rmqlab.amqp import Consumer, Publisher, confirm_each, connect
from rmqlab.broker import _external, start_broker
from rmqlab.broker._address import Address
from rmqlab.broker._node import Node
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import free_ports
from rmqlab.errors import BrokerUnavailableError, ManagementError

LESSON = Path(__file__).parents[3] / "notebooks" / "00_start_here.ipynb"
TIME_LIMIT_S = 15
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LISTENERS = ("expired", "other host", "mutual")


class TlsNode(Node):
    """A node that listens for TLS as well: the broker that somebody else runs."""

    def __init__(self, certificates: Path) -> None:
        super().__init__()
        ports = ("amqps", "https", *LISTENERS)
        self.certificates, self.ports = certificates, dict(zip(ports, free_ports(len(ports)), strict=True))

    def pem(self, name: str) -> str:
        return str(self.certificates / f"{name}.pem")

    def url(self, listener: str = "amqps", *, ca: str = "ca", client: str = "", **more: str) -> str:
        options = {"ca_certs": self.pem(ca)} | more
        options |= {"certfile": self.pem(client)} if client else {}
        query = urlencode({"ssl_options": options})
        return f"amqps://rmqlab:{self.password}@localhost:{self.ports[listener]}/?{query}"

    @property
    def password(self) -> str:
        return self._address.password

    @property
    def management_url(self) -> str:
        return f"https://localhost:{self.ports['https']}"

    def _write_configuration(self, address: Address, management_port: int) -> None:
        super()._write_configuration(address, management_port)
        self.ports["plain"] = address.port
        settings = {
            "listeners.ssl.1": f"127.0.0.1:{self.ports['amqps']}",
            "management.ssl.ip": "127.0.0.1",
            "management.ssl.port": self.ports["https"],
        }
        for prefix in ("ssl_options", "management.ssl"):
            settings[f"{prefix}.cacertfile"] = self.pem("ca")
            settings[f"{prefix}.certfile"] = settings[f"{prefix}.keyfile"] = self.pem("server")
        with (self._folder / "rabbitmq.conf").open("a") as file:
            file.writelines(f"{key} = {value}\n" for key, value in settings.items())

    def listen(self, name: str) -> None:
        """Listen at one more port, with a certificate of another kind."""
        mutual = ", {verify, verify_peer}, {fail_if_no_peer_cert, true}" if name == "mutual" else ""
        ca = json.dumps(self.pem("ca"))
        pem = json.dumps(self.pem("server" if name == "mutual" else name))
        options = f"{{cacertfile, {ca}}}, {{certfile, {pem}}}, {{keyfile, {pem}}}{mutual}"
        self.evaluate(
            f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {self.ports[name]}}}, [{options}], 1).'
        )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsNode]:
    require("node")
    folder = tmp_path_factory.mktemp("certificates")
    ca, other = trustme.CA(), trustme.CA()
    certificates = {
        "server": ca.issue_cert("localhost", "127.0.0.1"),
        "expired": ca.issue_cert("localhost", "127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO),
        "other host": ca.issue_cert("broker.example"),
        "client": ca.issue_cert("client"),
        "stranger": other.issue_cert("client"),
    }
    ca.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    for name, certificate in certificates.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    node = TlsNode(folder)
    reaper = Reaper("node", node.resources())
    try:
        node.start()
        for name in LISTENERS:
            node.listen(name)
        yield node
    finally:
        node.cleanup(node.resources())
        reaper.stop()


def test_a_message_goes_there_and_back(node: TlsNode) -> None:
    bodies = []
    with channel_to(node.url()) as channel:
        queue = channel.queue_declare("there and back", durable=True).method.queue
        with Publisher(node.url(), routing_key=queue, confirms=confirm_each()) as publisher:
            publisher.publish(b"hello")
        assert take_all(channel, queue) == [b"hello"]
        channel.basic_publish("", queue, b"back")
        with Consumer(node.url(), queue, on_message=lambda *message: bodies.append(message[2])) as consumer:
            consumer.run(count=1, for_s=TIME_LIMIT_S)
    assert bodies == [b"back"]


@pytest.mark.parametrize("is_given", [True, False], ids=["management URL given", "guessed"])
def test_the_management_api_is_reached_with_the_certificates_of_the_url(
    node: TlsNode, monkeypatch, is_given: bool
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", node.ports["https"]))
    monkeypatch.setenv("AMQP_URL", node.url())
    if is_given:
        monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", node.management_url)

    with start_broker() as broker:
        assert broker.management_url == node.management_url
        assert broker.parameters.virtual_host.startswith("rmqlab-")  # and not the shared one
        assert len(broker.queues()) == 0


def test_a_lesson_runs_over_tls(node: TlsNode, tmp_path: Path) -> None:
    settings = {"AMQP_URL": node.url(), "RMQLAB_MANAGEMENT_URL": node.management_url}
    code, out, err = run_command("run", str(LESSON), "--output", str(tmp_path), **settings)

    assert code == 0, err
    assert "source: external" in err
    assert node.password not in out + err


def test_what_the_certificates_need_can_be_given(node: TlsNode) -> None:
    connect(node.url("other host", server_hostname="broker.example")).close()
    connect(node.url("mutual", client="client")).close()


@pytest.mark.parametrize("way", ["AMQP_URL", "connect", "publisher"])
@pytest.mark.parametrize(
    ("listener", "options", "cause", "next_step"),
    [
        ("amqps", {"ca": "other"}, "is not accepted .*certificate", "as ca_certs"),
        ("expired", {}, "has expired", "renew it"),
        ("other host", {}, "mismatch", "server_hostname"),
        ("mutual", {}, "has no TLS connection", "certfile"),
        ("mutual", {"client": "stranger"}, "has no TLS connection", "certfile"),
        ("plain", {}, "has no TLS connection", "the scheme or the port"),
    ],
)
def test_a_failure_of_tls_is_one_sentence_with_the_next_step(
    node: TlsNode, monkeypatch, listener: str, options: dict[str, Any], cause: str, next_step: str, way: str
) -> None:
    url = node.url(listener, **options)
    monkeypatch.setenv("AMQP_URL", url)
    begin_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as caught:
        if way == "AMQP_URL":
            start_broker()
        elif way == "connect":
            connect(url)
        else:
            Publisher(url, routing_key="q")

    assert_one_sentence(str(caught.value), cause, next_step=next_step, secret=node.password)
    assert time.monotonic() - begin_s < TIME_LIMIT_S
    if "ssl_options" in str(caught.value):
        setting = way if way == "AMQP_URL" else f"the URL given to {way}"
        assert f"ssl_options of {setting}" in str(caught.value)


def test_a_management_api_with_another_certificate_is_an_error_if_it_is_given_and_else_no_secret(
    node: TlsNode, monkeypatch, caplog
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", node.ports["expired"]))
    monkeypatch.setenv("AMQP_URL", node.url())
    with caplog.at_level("INFO", "rmqlab"), start_broker() as broker:
        assert broker.management_url is None
    assert "has expired" in caplog.text

    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", f"https://127.0.0.1:{node.ports['other host']}")
    with pytest.raises(ManagementError) as caught:
        start_broker()
    assert_one_sentence(str(caught.value), "mismatch", next_step="server_hostname", secret=node.password)
