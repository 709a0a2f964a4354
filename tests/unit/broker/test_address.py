"""AMQP URLs: what is read from them, what is shown of them, what is refused."""

from __future__ import annotations

import gc
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from helpers import assert_one_sentence

from rmqlab.broker._address import Address
from rmqlab.errors import AddressError

SECRET = "s3cr3t/word"  # needs percent-encoding in a URL
URL = "amqp://a%40b:s3cr3t%2Fword@localhost:5673/%2Flab?heartbeat=30"

URL_WITH = "amqp://u:{password}@localhost"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://localhost", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        ("amqps://localhost", Address("amqps", "localhost", 5671, "guest", "guest", "/")),
        ("amqp://localhost/", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        ("amqp://u:p@[::1]:5673/lab", Address("amqp", "::1", 5673, "u", "p", "lab")),
        ("  amqp://localhost\n", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        ("amqp://u:@localhost", Address("amqp", "localhost", 5672, "u", "", "/")),
        ("amqp://:@localhost", Address("amqp", "localhost", 5672, "", "", "/")),
        (URL_WITH.format(password="100%"), Address("amqp", "localhost", 5672, "u", "100%", "/")),
        ("amqp://u:p@localhost/%C3%BC", Address("amqp", "localhost", 5672, "u", "p", "ü")),
        (URL, Address("amqp", "localhost", 5673, "a@b", SECRET, "/lab", "heartbeat=30")),
    ],
)
def test_reads_every_part_of_a_url(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected


def test_pika_gets_the_decoded_parts_and_the_options() -> None:
    parameters = Address.parse(URL).parameters

    assert (parameters.host, parameters.port, parameters.virtual_host) == ("localhost", 5673, "/lab")
    assert (parameters.credentials.username, parameters.credentials.password) == ("a@b", SECRET)
    assert parameters.heartbeat == 30


def test_what_is_shown_has_no_password() -> None:
    address = Address.parse(URL)

    assert "s3cr3t" not in repr(address)
    assert address.masked == "amqp://a%40b:***@localhost:5673/%2Flab?***"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "no scheme"),
        ("localhost:5672", "no scheme"),
        ("http://u:s3cr3t@localhost", "http://"),
        ("amqp:///lab", "no host"),
        ("amqp://u:s3cr3t@:5672", "no host"),
        ("amqp://u:s3cr3t@localhost:port", "port"),
        ("amqp://u:s3cr3t@localhost:99999", "port"),
        ("amqp://u:s3cr3t@localhost:0", "port"),
        ("amqp://u:s3cr3t@[::1:5672/", "host"),
        ("amqp://u:s3cr3t@[nonsense]/", "host"),
        ("amqp://u:s3cr3t@a..b", "host"),
        ("amqp://s3cr3t@localhost", "no password"),
        ("amqp://u:s3cr3t/s3cr3t@localhost", "before its '@'"),
        (URL_WITH.format(password="s3cr3t?s3cr3t"), "before its '@'"),
        (URL_WITH.format(password="s3cr3t#s3cr3t"), "before its '@'"),
        ("amqp://u:s3cr3t@localhost/lab#1", "'#'"),
        ("amqp://u:s3cr3t@localhost/lab/more", "more than one '/'"),
        (URL_WITH.format(password="s3cr3t%FF"), "UTF-8"),
        ("amqp://u:s3cr3t@local\nhost/", "line break"),
    ],
)
def test_a_url_that_cannot_be_right_is_one_sentence_and_a_next_step(url: str, complaint: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(url)

    assert_one_sentence(str(caught.value), f"^The URL .*{complaint}")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files that TLS can do nothing with, and a key that needs a password."""
    key = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    private_key = serialization.load_pem_private_key(key, None)
    encrypted = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"s3cr3t"),
    )
    contents = {"text": b"s3cr3t", "encrypted": encrypted, "ca": trustme.CA().cert_pem.bytes()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in (*contents, "missing")}


SSL = "that pika cannot use"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"heartbeat": "s3cr3t"}, "the option heartbeat that pika cannot use"),
        ({"heartbeat": [1, 2]}, "the option heartbeat that pika cannot use"),
        ({"client_properties": "['s3cr3t']"}, "the option client_properties that pika cannot use"),
        ({"no_such_option": "s3cr3t"}, "the option no_such_option, which pika does not take"),
        ({"s3cr3t": ""}, "an option, which pika does not take"),
        ({"ssl_options": "{'password': 's3cr3t'"}, SSL),
        ({"ssl_options": "'s3cr3t'"}, SSL),
        ({"ssl_options": "{}"}, SSL),
        ({"ssl_options": "{'ca_certs': '{missing}'}"}, f"{SSL} (No such file or directory)"),
        ({"ssl_options": "{'ca_certs': '{ca}', 'certfile': '{missing}', 'password': 's3cr3t'}"}, SSL),
        ({"ssl_options": "{'ca_certs': 5}"}, SSL),
        ({"ssl_options": "{'ca_certs': '{text}'}"}, f"{SSL} (NO_CERTIFICATE_OR_CRL_FOUND)"),
        ({"ssl_options": "{'ca_certs': '{ca}', 'certfile': '{ca}', 'keyfile': '{text}'}"}, SSL),
        (
            {"ssl_options": "{'ca_certs': '{ca}', 'certfile': '{ca}', 'keyfile': '{encrypted}'}"},
            "ssl_options with an encrypted key and no password",
        ),
        ({"ssl_options": "{'ca_certs': '{ca}', 'ciphers': 's3cr3t'}"}, SSL),
    ],
)
def test_an_option_that_cannot_be_right_is_named(files, options: dict, complaint: str) -> None:
    if value := options.get("ssl_options"):
        for name, path in files.items():
            value = value.replace("{" + name + "}", path)
        options = {"ssl_options": value}
        complaint = complaint.replace(SSL, f"the option ssl_options {SSL}")
    url = f"amqps://u:s3cr3t@localhost/lab?{urlencode(options, doseq=True)}"
    address = Address.parse(url, setting="AMQP_URL")

    with pytest.raises(AddressError) as caught:
        address.parameters  # noqa: B018
    message = str(caught.value)
    assert message.startswith(f"AMQP_URL has {complaint}")
    assert_one_sentence(message, "")
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value)).replace(__file__, "")


def test_the_urls_own_options_go_before_ours() -> None:
    query = urlencode({"blocked_connection_timeout": 7, "client_properties": {"team": "a"}})
    address = Address.parse(f"amqp://localhost?{query}")

    parameters = address.parameters_for("worker", blocked_connection_timeout=30, socket_timeout=5)

    assert parameters.blocked_connection_timeout == 7
    assert parameters.socket_timeout == 5
    assert parameters.client_properties == {"connection_name": "worker", "team": "a"}


def test_threads_that_read_their_options_at_the_same_time_do_not_disturb_each_other() -> None:
    address = Address.parse("amqp://localhost?" + urlencode({"tcp_options": "{'TCP_KEEPIDLE': 60}"}))
    thresholds, interval_s = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(10)  # Python switches threads in its parser when it collects garbage
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            read = list(threads.map(lambda _: (Cycle(), address.parameters.tcp_options)[1], range(1000)))
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval_s)

    assert read == [{"TCP_KEEPIDLE": 60}] * 1000


class Cycle:
    """Garbage that runs Python when it is collected."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(20))
