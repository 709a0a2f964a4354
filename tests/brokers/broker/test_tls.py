"""TLS for real: a node and a container with certificates of a CA of our own, and a lesson over it.

The node has one listener more for each server that a client should not trust, or that does not
trust a client without a certificate.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme
from helpers import assert_one_sentence, eventually, require, run_command

from rmqlab.amqp import Consumer, Publisher, connect
from rmqlab.broker import _external, start_broker
from rmqlab.broker._address import Address
from rmqlab.broker._connection import probe
from rmqlab.broker._container import Container, image
from rmqlab.broker._node import Node
from rmqlab.broker._reaper import Reaper
from rmqlab.broker._source import free_ports
from rmqlab.errors import BrokerUnavailableError, ManagementError

ROOT = Path(__file__).parents[3]
TIME_LIMIT_S = 15
START_TIMEOUT_S = 60
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NODE_LISTENERS = ("expired", "other host", "mutual")


@dataclass(frozen=True)
class Files:
    """Where the certificates are: the CA, the servers' and a client's, and a CA of nobody's."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def options(self, ca: str = "ca", client: str | None = None, **more: str) -> dict[str, str]:
        options = {"ca_certs": self.path(ca)} | more
        return options | {"certfile": self.path(client)} if client else options


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
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
    return Files(folder)


@dataclass(frozen=True)
class Server:
    """A broker with TLS that somebody else runs."""

    files: Files
    password: str = field(repr=False)
    ports: dict[str, int]

    def url(self, listener: str = "amqps", *, host: str = "localhost", **options: Any) -> str:
        query = urlencode({"ssl_options": self.files.options(**options)})
        password = self.password
        return f"amqps://rmqlab:{password}@{host}:{self.ports[listener]}/?{query}"

    @property
    def management_url(self) -> str:
        return f"https://localhost:{self.ports['https']}"


def _configuration(folder: str, amqps: Any, https: int) -> str:
    settings = {"listeners.ssl.1": amqps, "management.ssl.port": https}
    for prefix in ("ssl_options", "management.ssl"):
        settings[f"{prefix}.cacertfile"] = f"{folder}/ca.pem"
        settings[f"{prefix}.certfile"] = settings[f"{prefix}.keyfile"] = f"{folder}/server.pem"
    return "".join(f"{key} = {value}\n" for key, value in settings.items())


class TlsNode(Node):
    """A private node that listens for TLS as well."""

    def __init__(self, files: Files) -> None:
        super().__init__()
        names = ("amqps", "https", *NODE_LISTENERS)
        self.files, self.ports = files, dict(zip(names, free_ports(len(names)), strict=True))

    def _write_configuration(self, address: Address, management_port: int) -> None:
        super()._write_configuration(address, management_port)
        self.ports["plain"] = address.port
        folder, ports = str(self.files.folder), self.ports
        with (self._folder / "rabbitmq.conf").open("a") as file:
            file.write(_configuration(folder, f"127.0.0.1:{ports['amqps']}", ports["https"]))
            file.write("management.ssl.ip = 127.0.0.1\n")

    def listen(self, name: str) -> None:
        """Listen at one more port, with a certificate of another kind."""
        mutual = ", {verify, verify_peer}, {fail_if_no_peer_cert, true}" if name == "mutual" else ""
        ca = json.dumps(self.files.path("ca"))
        pem = json.dumps(self.files.path("server" if name == "mutual" else name))
        options = f"{{cacertfile, {ca}}}, {{certfile, {pem}}}, {{keyfile, {pem}}}{mutual}"
        self.evaluate(
            f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {self.ports[name]}}}, [{options}], 1).'
        )


@pytest.fixture(scope="module")
def node(files: Files) -> Iterator[Server]:
    require("node")
    node = TlsNode(files)
    reaper = Reaper("node", node.resources())
    try:
        password = node.start().address.password
        for name in NODE_LISTENERS:
            node.listen(name)
        yield Server(files, password, node.ports)
    finally:
        node.cleanup(node.resources())
        reaper.stop()


@pytest.fixture(scope="module")
def container(files: Files) -> Iterator[Server]:
    require("container")
    import docker

    password, name = secrets.token_urlsafe(16), f"rmqlab-tls-{secrets.token_hex(4)}"
    amqps, https = free_ports(2)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for each in files.folder.iterdir():
            _add(tar, f"certificates/{each.name}", each.read_bytes())
        _add(tar, "conf.d/90-tls.conf", _configuration("/etc/rabbitmq/certificates", 5671, 15671).encode())
    reaper = Reaper("container", {"container": name})
    with contextlib.closing(docker.from_env(timeout=60)) as client:
        try:
            made = client.containers.create(
                image(),
                name=name,
                hostname="rmqlab",
                environment={"RABBITMQ_DEFAULT_USER": "rmqlab", "RABBITMQ_DEFAULT_PASS": password},
                ports={"5671/tcp": ("127.0.0.1", amqps), "15671/tcp": ("127.0.0.1", https)},
            )
            made.put_archive("/etc/rabbitmq", archive.getvalue())
            made.start()
            server = Server(files, password, {"amqps": amqps, "https": https})
            _wait_until_ready(server, made)
            yield server
        finally:
            Container.cleanup({"container": name})
            reaper.stop()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _wait_until_ready(server: Server, made: Any) -> None:
    address = Address.parse(server.url())

    def answers() -> bool:
        with contextlib.suppress(BrokerUnavailableError):
            return bool(probe(address))
        return False

    if not eventually(answers, seconds=START_TIMEOUT_S):
        pytest.fail(f"no TLS in the container: {made.logs(tail=20).decode()}")


@pytest.fixture(params=["node", "container"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture
def external(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what names a server."""

    def external(url: str, management_url: str = "") -> None:
        monkeypatch.setenv("AMQP_URL", url)
        if management_url:
            monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", management_url)

    return external


def test_a_message_goes_there_and_back(server: Server) -> None:
    url, queue = server.url(), f"tls-{secrets.token_hex(4)}"
    bodies = []

    def work(_method: Any, _properties: Any, body: bytes) -> None:
        bodies.append(body)

    with contextlib.closing(connect(url)) as connection:
        connection.channel().queue_declare(queue)
        with Publisher(url, routing_key=queue) as publisher:
            publisher.publish(b"hello")
        with Consumer(url, queue, on_message=work) as consumer:
            consumer.run(count=1, for_s=TIME_LIMIT_S)
        connection.channel().queue_delete(queue)

    assert bodies == [b"hello"]


@pytest.mark.parametrize("is_given", [True, False], ids=["management URL given", "guessed"])
def test_the_management_api_is_reached_with_the_certificates_of_the_url(
    server: Server, external, monkeypatch, is_given: bool
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", server.ports["https"]))
    external(server.url(), server.management_url if is_given else "")

    with start_broker() as broker:
        assert broker.management_url == server.management_url
        assert broker.parameters.virtual_host.startswith("rmqlab-")  # and not the shared one
        assert len(broker.queues()) == 0


def test_a_lesson_runs_over_tls(server: Server, tmp_path: Path) -> None:
    lesson = ROOT / "notebooks" / "00_start_here.ipynb"
    settings = {"AMQP_URL": server.url(), "RMQLAB_MANAGEMENT_URL": server.management_url}
    code, out, err = run_command("run", str(lesson), "--output", str(tmp_path), **settings)

    assert code == 0, err
    assert "source: external" in err
    assert server.password not in out + err


def test_a_name_of_the_certificate_can_be_given(node: Server) -> None:
    connect(node.url("other host", server_hostname="broker.example")).close()


def test_a_client_with_a_certificate_is_let_in(node: Server) -> None:
    connect(node.url("mutual", client="client")).close()


FAILURES = {
    "a wrong CA": ("amqps", {"ca": "other"}, "is not accepted .*certificate", "as ca_certs"),
    "an expired certificate": ("expired", {}, "has expired", "renew it"),
    "a wrong host": ("other host", {}, "mismatch", "server_hostname"),
    "no client certificate": ("mutual", {}, "has no TLS connection", "certfile"),
    "a stranger's certificate": ("mutual", {"client": "stranger"}, "has no TLS connection", "certfile"),
    "a port without TLS": ("plain", {}, "has no TLS connection", "the scheme or the port"),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("way", ["AMQP_URL", "connect", "Publisher"])
def test_a_failure_of_tls_is_one_sentence_with_the_next_step(
    node: Server, external, case: str, way: str
) -> None:
    listener, options, cause, next_step = FAILURES[case]
    url = node.url(listener, **options)
    begin_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as caught:
        if way == "AMQP_URL":
            external(url)
            start_broker()
        elif way == "connect":
            connect(url)
        else:
            Publisher(url, routing_key="q")

    _assert_one_sentence(str(caught.value), cause, next_step, node.password)
    assert time.monotonic() - begin_s < TIME_LIMIT_S
    if "ssl_options" in str(caught.value):
        setting = {"connect": "the URL given to connect", "Publisher": "the URL given to publisher"}
        assert f"ssl_options of {setting.get(way, way)}" in str(caught.value)


def test_a_wrong_ca_is_one_sentence_of_the_command_too(server: Server) -> None:
    code, _, err = run_command("broker", "true", AMQP_URL=server.url(ca="other"))

    assert code == 1
    _assert_one_sentence(err.strip(), "is not accepted .*certificate", "as ca_certs", server.password)


def test_a_management_api_with_another_certificate_is_given(node: Server, external) -> None:
    external(node.url(), f"https://127.0.0.1:{node.ports['other host']}")

    with pytest.raises(ManagementError) as caught:
        start_broker()
    _assert_one_sentence(str(caught.value), "mismatch", "server_hostname", node.password)


def test_a_guessed_management_api_with_another_certificate_is_no_secret(
    node: Server, external, monkeypatch, caplog
) -> None:
    monkeypatch.setitem(_external.MANAGEMENT_PORTS, "amqps", ("https", node.ports["expired"]))
    external(node.url())

    with caplog.at_level("INFO", "rmqlab"), start_broker() as broker:
        assert broker.management_url is None
    assert "has expired" in caplog.text


def _assert_one_sentence(message: str, cause: str, next_step: str, password: str) -> None:
    assert_one_sentence(message, cause, next_step=next_step, secret=password)
