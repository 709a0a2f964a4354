"""TLS for real: a node with certificates of a CA of our own, and a lesson over it.

It has one listener more for each server that a client should not trust, or that does not
trust a client without a certificate.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme
from helpers import assert_one_sentence, require, run_command

from rmqlab.amqp import Consumer, Publisher, connect
from rmqlab.broker import _external, start_broker
from rmqlab.broker._address import Address
from rmqlab.broker._node import Node
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import free_ports
from rmqlab.errors import BrokerUnavailableError, ManagementError

ROOT = Path(__file__).parents[3]
TIME_LIMIT_S = 15
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LISTENERS = ("expired", "other host", "mutual")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA's certificates: the servers' and a client's, and those of a CA of nobody's."""
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
    return folder


class TlsNode(Node):
    """A private node that listens for TLS as well."""

    def __init__(self, certificates: Path) -> None:
        super().__init__()
        listeners = ("amqps", "https", *LISTENERS)
        self.certificates = certificates
        self.ports = dict(zip(listeners, free_ports(len(listeners)), strict=True))

    @property
    def password(self) -> str:
        return self._address.password

    @property
    def management_url(self) -> str:
        return f"https://localhost:{self.ports['https']}"

    def url(self, listener: str = "amqps", *, ca: str = "ca", client: str | None = None, **more: str) -> str:
        options = {"ca_certs": self._path(ca)} | more
        if client:
            options["certfile"] = self._path(client)
        query, password = urlencode({"ssl_options": options}), self.password
        return f"amqps://rmqlab:{password}@localhost:{self.ports[listener]}/?{query}"

    def _path(self, name: str) -> str:
        return str(self.certificates / f"{name}.pem")

    def _write_configuration(self, address: Address, management_port: int) -> None:
        super()._write_configuration(address, management_port)
        self.ports["plain"] = address.port
        settings = {
            "listeners.ssl.1": f"127.0.0.1:{self.ports['amqps']}",
            "management.ssl.ip": "127.0.0.1",
            "management.ssl.port": self.ports["https"],
        }
        for prefix in ("ssl_options", "management.ssl"):
            settings[f"{prefix}.cacertfile"] = self._path("ca")
            settings[f"{prefix}.certfile"] = settings[f"{prefix}.keyfile"] = self._path("server")
        with (self._folder / "rabbitmq.conf").open("a") as file:
            file.writelines(f"{key} = {value}\n" for key, value in settings.items())

    def listen(self, name: str) -> None:
        """Listen at one more port, with a certificate of another kind."""
        mutual = ", {verify, verify_peer}, {fail_if_no_peer_cert, true}" if name == "mutual" else ""
        ca = json.dumps(self._path("ca"))
        pem = json.dumps(self._path("server" if name == "mutual" else name))
        options = f"{{cacertfile, {ca}}}, {{certfile, {pem}}}, {{keyfile, {pem}}}{mutual}"
        self.control(
            "eval",
            f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {self.ports[name]}}}, [{options}], 1).',
        )


@pytest.fixture(scope="module")
def node(certificates: Path) -> Iterator[TlsNode]:
    require("node")
    node = TlsNode(certificates)
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
    url, queue = node.url(), f"tls-{secrets.token_hex(4)}"
    bodies: list[bytes] = []
    with contextlib.closing(connect(url)) as connection:
        connection.channel().queue_declare(queue)
        with Publisher(url, routing_key=queue) as publisher:
            publisher.publish(b"hello")
        with Consumer(url, queue, on_message=lambda *message: bodies.append(message[2])) as consumer:
            consumer.run(count=1, for_s=TIME_LIMIT_S)
        connection.channel().queue_delete(queue)

    assert bodies == [b"hello"]


@pytest.mark.parametrize("is_told", [True, False], ids=["management URL told", "guessed"])
def test_the_management_api_is_reached_with_the_certificates_of_the_url(
    node: TlsNode, monkeypatch, is_told: bool
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", node.ports["https"]))
    monkeypatch.setenv("AMQP_URL", node.url())
    if is_told:
        monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", node.management_url)

    with start_broker() as broker:
        assert broker.management_url == node.management_url
        assert broker.parameters.virtual_host.startswith("rmqlab-")  # and not the shared one
        assert len(broker.queues()) == 0


def test_a_lesson_runs_over_tls(node: TlsNode, tmp_path: Path) -> None:
    lesson = ROOT / "notebooks" / "00_start_here.ipynb"
    settings = {"AMQP_URL": node.url(), "RMQLAB_MANAGEMENT_URL": node.management_url}
    code, out, err = run_command("run", str(lesson), "--output", str(tmp_path), **settings)

    assert code == 0, err
    assert "source: external" in err
    assert node.password not in out + err


def test_a_name_of_the_certificate_can_be_given(node: TlsNode) -> None:
    connect(node.url("other host", server_hostname="broker.example")).close()


def test_a_client_with_a_certificate_is_let_in(node: TlsNode) -> None:
    connect(node.url("mutual", client="client")).close()


NOT_LET_IN = "does not accept our certificate|ended the TLS connection"
FAILURES = {
    "a wrong CA": ("amqps", {"ca": "other"}, "is not accepted .*certificate", "as ca_certs"),
    "an expired certificate": ("expired", {}, "has expired", "renew it"),
    "a wrong host": ("other host", {}, "mismatch", "server_hostname"),
    "no client certificate": ("mutual", {}, NOT_LET_IN, "certfile"),
    "a stranger's certificate": ("mutual", {"client": "stranger"}, NOT_LET_IN, "certfile"),
    "a port without TLS": ("plain", {}, "does not speak TLS", "the scheme or the port"),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("way", ["AMQP_URL", "connect", "Publisher"])
def test_a_failure_of_tls_is_one_sentence_with_the_next_step(
    node: TlsNode, monkeypatch, case: str, way: str
) -> None:
    listener, options, cause, next_step = FAILURES[case]
    url = node.url(listener, **options)
    begin_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as caught:
        if way == "AMQP_URL":
            monkeypatch.setenv("AMQP_URL", url)
            start_broker()
        elif way == "connect":
            connect(url)
        else:
            Publisher(url, routing_key="q")

    assert_one_sentence(str(caught.value), cause, next_step=next_step, secret=node.password)
    assert time.monotonic() - begin_s < TIME_LIMIT_S
    if "ssl_options" in str(caught.value):
        setting = {"connect": "the URL given to connect", "Publisher": "the URL given to publisher"}
        assert f"ssl_options of {setting.get(way, way)}" in str(caught.value)


def test_a_wrong_ca_is_one_sentence_of_the_command_too(node: TlsNode) -> None:
    code, _, err = run_command("broker", "true", AMQP_URL=node.url(ca="other"))

    assert code == 1
    said, advice = FAILURES["a wrong CA"][2:]
    assert_one_sentence(err.strip(), said, next_step=advice, secret=node.password)


def test_a_management_api_with_another_certificate_is_told(node: TlsNode, monkeypatch) -> None:
    monkeypatch.setenv("AMQP_URL", node.url())
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", f"https://127.0.0.1:{node.ports['other host']}")

    with pytest.raises(ManagementError) as caught:
        start_broker()
    assert_one_sentence(str(caught.value), "mismatch", next_step="server_hostname", secret=node.password)


def test_a_guessed_management_api_with_another_certificate_is_no_secret(
    node: TlsNode, monkeypatch, caplog
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", node.ports["expired"]))
    monkeypatch.setenv("AMQP_URL", node.url())

    with caplog.at_level("INFO", "rmqlab"), start_broker() as broker:
        assert broker.management_url is None
    assert "has expired" in caplog.text
