"""Settings, URLs and options that cannot work: each is one sentence, with the next step, and soon."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from helpers import SECRET, assert_one_sentence, run_command

from rmqlab.amqp import Consumer, Publisher, connect
from rmqlab.broker import Broker, Link, start_broker
from rmqlab.broker._start import check_sources
from rmqlab.errors import RmqlabError

TIME_LIMIT_S = 15
USER = f"amqp://user:{SECRET}"
URL = f"{USER}@127.0.0.1"  # at whose port 1 nobody listens
MISSING_CA = urlencode({"ssl_options": {"ca_certs": f"/nowhere/{SECRET}.pem"}})

WAYS: dict[str, Callable[[str], object]] = {
    "connect": connect,
    "publisher": lambda url: Publisher(url, routing_key="q"),
    "consumer": lambda url: Consumer(url, "q"),
}


@pytest.fixture(autouse=True)
def _no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RMQLAB_IMAGE", raising=False)


def _assert_refuses(action: Callable[[], object], clue: str) -> str:
    begin_s = time.monotonic()
    with pytest.raises(RmqlabError) as caught:
        action()
    assert time.monotonic() - begin_s < TIME_LIMIT_S
    assert_one_sentence(str(caught.value), clue)
    return str(caught.value)


# tests/unit/broker/test_address.py has the other ways for a URL to be wrong.
WRONG_URLS = [
    (f"http://user:{SECRET}@127.0.0.1", "has http://, not amqp://"),
    (f"{URL}/?heartbeat={SECRET}", "has the option heartbeat"),
    (f"amqps://user:{SECRET}@127.0.0.1:1/?{MISSING_CA}", "has the option ssl_options"),
    (f"{URL}:1", r"No broker answers at 127\.0\.0\.1:1 "),
    (f"{USER}@[::1]:1", r"No broker answers at \[::1\]:1 "),
    (f"{USER}@nohost.invalid", "No host is called 'nohost.invalid'"),
]


@pytest.mark.parametrize("way", ["AMQP_URL", *WAYS])
@pytest.mark.parametrize(("url", "clue"), WRONG_URLS)
def test_a_url_that_does_not_lead_to_a_broker(monkeypatch, way: str, url: str, clue: str) -> None:
    if way in WAYS:
        message = _assert_refuses(lambda: WAYS[way](url), clue)
    else:
        monkeypatch.setenv("AMQP_URL", url)
        message = _assert_refuses(start_broker, clue)
    assert re.search(f"the URL given to {way}" if way in WAYS else way, message, re.IGNORECASE)
    assert ("AMQP_URL" in message) == (way == "AMQP_URL")


@pytest.mark.parametrize("wrong", [None, 5672, b"amqp://127.0.0.1"])
def test_what_is_no_broker(wrong: object) -> None:
    for way, use in {**WAYS, "Link": Link}.items():
        _assert_refuses(lambda use=use: use(wrong), f"{way} was given ")


@pytest.mark.parametrize("wrong", [[], [f"{URL}:99999"], [URL, None]])
def test_wrong_hosts(wrong: list[str]) -> None:
    _assert_refuses(lambda: Publisher(wrong, routing_key="q"), "iven .*publisher|publisher was given")


def test_a_link_carries_no_tls() -> None:
    _assert_refuses(lambda: Link(f"amqps://user:{SECRET}@127.0.0.1"), "A link carries plain amqp://")


@pytest.mark.parametrize(
    ("settings", "clue"),
    [
        ({"RMQLAB_BROKER": "magic"}, "RMQLAB_BROKER is 'magic'"),
        ({"RMQLAB_BROKER": "external"}, "AMQP_URL is not set"),
        ({"RMQLAB_BROKER": "container", "DOCKER_HOST": "unix:///nowhere.sock"}, "No container engine"),
        ({"RMQLAB_BROKER": "container", "DOCKER_HOST": "magic"}, "No container engine"),
        (
            {"RMQLAB_BROKER": "container", "DOCKER_HOST": f"tcp://user:{SECRET}@127.0.0.1:1"},
            "No container engine answers at the address in DOCKER_HOST",
        ),
        ({"RMQLAB_OWN_BROKER": "external"}, "RMQLAB_OWN_BROKER is 'external'"),
    ],
)
def test_another_wrong_setting(monkeypatch, settings: dict[str, str], clue: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    _assert_refuses(lambda: start_broker(own="RMQLAB_OWN_BROKER" in settings), clue)


@pytest.mark.parametrize("image", ["Not/An:Image:Name", "--privileged", "localhost/rmqlab/nowhere:1"])
def test_a_wrong_image(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    if not check_sources()["container"].usable:
        pytest.skip("no container engine answers")
    monkeypatch.setenv("RMQLAB_IMAGE", image)

    _assert_refuses(lambda: start_broker("container"), re.escape(image))


# `{api}` is where the management API is, `{port}` its port.
@pytest.mark.parametrize(
    ("template", "clue"),
    [
        (f"http://user:{SECRET}@127.0.0.1:{{port}}", "RMQLAB_MANAGEMENT_URL has a user"),
        (f"http://user:{SECRET}@[::1", "RMQLAB_MANAGEMENT_URL has a host"),
        (f"{{api}}/?password={SECRET}", "RMQLAB_MANAGEMENT_URL has a user or options"),
        ("ftp://127.0.0.1:{port}", "RMQLAB_MANAGEMENT_URL has ftp://, not http://"),
        ("http://127.0.0.1:1", "The management API at .* does not answer"),
        ("https://127.0.0.1:{port}", "The management API at .* has no TLS"),
        ("{api}/api", "What answers at .* is no management API"),
    ],
)
def test_a_wrong_management_url(broker: Broker, monkeypatch, template: str, clue: str) -> None:
    if not broker.management_url or not broker.management_url.startswith("http://"):
        pytest.skip("this broker has no plain management API")
    port = broker.management_url.rpartition(":")[2]
    monkeypatch.setenv("AMQP_URL", broker.url)
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", template.format(api=broker.management_url, port=port))

    message = _assert_refuses(start_broker, clue)
    assert broker.parameters.credentials.password not in message
    assert not check_sources()["external"].usable


@pytest.mark.parametrize("way", ["AMQP_URL", *WAYS])
@pytest.mark.parametrize(
    ("password", "virtual_host", "clue"),
    [
        (SECRET, "", "refuses user"),
        ("", "", "refuses user"),
        (None, "nowhere", "has no virtual host 'nowhere'"),
    ],
)
def test_what_the_broker_refuses(broker: Broker, monkeypatch, way, password, virtual_host, clue) -> None:
    right = broker.parameters.credentials.password
    url = broker.url.replace(f":{right}@", f":{right if password is None else password}@")
    if virtual_host:
        url = f"{url.rpartition('/')[0]}/{virtual_host}"
    monkeypatch.setenv("AMQP_URL", url)

    message = _assert_refuses(lambda: WAYS[way](url) if way in WAYS else start_broker(), clue)
    assert (f"the URL given to {way}" if way in WAYS else way) in message
    assert right not in message


@pytest.mark.parametrize(
    ("arguments", "url", "clue"),
    [
        (["run", "notebooks/00_start_here.ipynb"], f"{URL}?password={SECRET}", "the option password"),
        (["nonsense"], "", "nonsense"),
        (["run", "--nonsense"], "", "--nonsense"),
        (["lab", "--port", "99999"], "", "--port"),
        (["run", "--output"], "", "--output"),
    ],
)
def test_a_command_says_it_too(arguments: list[str], url: str, clue: str) -> None:
    code, out, err = run_command(*arguments, AMQP_URL=url)

    assert code in (1, 2)
    assert out == ""
    assert_one_sentence(err.strip(), clue)
