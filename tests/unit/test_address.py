"""AMQP URLs: what is read from them, what is shown of them, what is refused."""

from __future__ import annotations

import pytest

from rmqlab.broker import Address
from rmqlab.errors import AddressError

SECRET = "s3cr3t/word"  # needs percent-encoding in a URL
URL = "amqp://a%40b:s3cr3t%2Fword@localhost:5673/%2Flab?heartbeat=30"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://localhost", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        ("amqps://localhost", Address("amqps", "localhost", 5671, "guest", "guest", "/")),
        ("amqp://localhost/", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        ("amqp://localhost:5673/%2F", Address("amqp", "localhost", 5673, "guest", "guest", "/")),
        ("amqp://u:p@localhost/lab", Address("amqp", "localhost", 5672, "u", "p", "lab")),
        ("amqp://u:p@[::1]:5673/lab", Address("amqp", "::1", 5673, "u", "p", "lab")),
        ("  amqp://localhost\n", Address("amqp", "localhost", 5672, "guest", "guest", "/")),
        (URL, Address("amqp", "localhost", 5673, "a@b", SECRET, "/lab", "heartbeat=30")),
    ],
)
def test_reads_every_part_of_a_url(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected


@pytest.mark.parametrize("url", [URL, "amqp://localhost", "amqps://u:p@[::1]:1/lab?heartbeat=1"])
def test_url_reads_as_the_same_address(url: str) -> None:
    address = Address.parse(url)

    assert Address.parse(address.url) == address


def test_pika_gets_the_decoded_parts_and_the_options() -> None:
    parameters = Address.parse(URL).parameters

    assert parameters.host == "localhost"
    assert parameters.port == 5673
    assert parameters.virtual_host == "/lab"
    assert parameters.credentials.username == "a@b"
    assert parameters.credentials.password == SECRET
    assert parameters.heartbeat == 30


def test_pika_connects_to_an_ipv6_address() -> None:
    assert Address.parse("amqp://u:p@[::1]:5673/lab").parameters.host == "::1"


@pytest.mark.parametrize("show", [repr, str, lambda address: address.masked], ids=["repr", "str", "masked"])
def test_what_is_shown_has_no_password(show) -> None:
    shown = show(Address.parse(URL))

    assert "s3cr3t" not in shown
    assert "localhost" in shown


def test_masked_keeps_all_but_the_password() -> None:
    assert Address.parse(URL).masked == "amqp://a%40b:***@localhost:5673/%2Flab?heartbeat=30"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "no scheme"),
        ("localhost:5672", "no scheme"),
        ("http://u:s3cr3t@localhost", "http://"),
        ("amqp://", "no host"),
        ("amqp:///lab", "no host"),
        ("amqp://u:s3cr3t@:5672", "no host"),
        ("amqp://u:s3cr3t@localhost:port", "port"),
        ("amqp://u:s3cr3t@localhost:99999", "port"),
        ("amqp://u:s3cr3t@localhost:0", "port"),
        ("amqp://u:s3cr3t@[::1:5672/", "host"),
        ("amqp://u:s3cr3t@[nonsense]/", "host"),
    ],
)
def test_a_url_that_cannot_be_right_is_one_sentence_and_a_next_step(url: str, complaint: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(url)

    message = str(caught.value)
    sentence, _, next_step = message.partition(". Next: ")
    assert sentence.startswith("AMQP_URL ")
    assert complaint in sentence
    assert next_step
    assert "\n" not in message
    assert "s3cr3t" not in message


def test_the_error_names_the_setting_that_is_wrong() -> None:
    with pytest.raises(AddressError, match=r"^OTHER_URL has no scheme"):
        Address.parse("nonsense", setting="OTHER_URL")


@pytest.mark.parametrize(
    "query", ["heartbeat=soon", "no_such_option=1", "ssl_options=%7B", "socket_timeout=0"]
)
def test_an_option_that_pika_does_not_take_is_an_address_error(query: str) -> None:
    address = Address.parse(f"amqp://u:s3cr3t@localhost/lab?{query}")

    with pytest.raises(AddressError, match="Next: ") as caught:
        address.parameters  # noqa: B018
    assert "s3cr3t" not in str(caught.value)
