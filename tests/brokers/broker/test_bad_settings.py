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
from rmqlab.broker._source import free_ports
from rmqlab.broker._start import check_sources
from rmqlab.errors import RmqlabError

TIME_LIMIT_S = 15
USER = f"amqp://user:{SECRET}"
URL = f"{USER}@127.0.0.1"


@pytest.fixture(autouse=True)
def _no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RMQLAB_IMAGE", raising=False)


@pytest.fixture(scope="module")
def closed() -> int:
    """A port at which nobody listens."""
    return free_ports(1)[0]


# What is set, and what is said of it; tests/unit/broker/test_address.py has the other ways to be wrong.
MISSING_CA = urlencode({"ssl_options": {"ca_certs": f"/nowhere/{SECRET}.pem"}})
WRONG_URLS = {
    "the scheme of the web": (f"http://user:{SECRET}@127.0.0.1", "has http://, not amqp://"),
    "a slash in the password": (f"{USER}/x@127.0.0.1", "before its '@'"),
    "two slashes": (f"{URL}/lab/more", "has more than one '/'"),
    "a heartbeat that is no number": (f"{URL}/?heartbeat={SECRET}", "has the option heartbeat that"),
    "a CA that is missing": (
        f"amqps://user:{SECRET}@127.0.0.1:{{closed}}/?{MISSING_CA}",
        "has the option ssl_options that",
    ),
}

# `{closed}` is a port at which nobody listens.
UNREACHED = {
    "a closed port": (f"{URL}:{{closed}}", r"No broker answers at 127\.0\.0\.1:"),
    "a closed port of IPv6": (f"{USER}@[::1]:{{closed}}", r"No broker answers at \[::1\]:"),
    "a host that nobody is called": (f"{USER}@nohost.invalid", "No host is called 'nohost.invalid'"),
}

WAYS: dict[str, Callable[[str], object]] = {
    "connect": connect,
    "publisher": lambda url: Publisher(url, routing_key="q"),
    "consumer": lambda url: Consumer(url, "q"),
    "Link": Link,
}


def _assert_refuses(action: Callable[[], object], clue: str) -> str:
    begin_s = time.monotonic()
    with pytest.raises(RmqlabError) as caught:
        action()
    assert time.monotonic() - begin_s < TIME_LIMIT_S
    assert_one_sentence(str(caught.value), clue)
    return str(caught.value)


@pytest.mark.parametrize("case", [*WRONG_URLS, *UNREACHED])
def test_a_wrong_amqp_url(monkeypatch: pytest.MonkeyPatch, closed: int, case: str) -> None:
    url, clue = (WRONG_URLS | UNREACHED)[case]
    monkeypatch.setenv("AMQP_URL", url.format(closed=closed))

    message = _assert_refuses(start_broker, re.escape(clue) if case in WRONG_URLS else clue)
    assert "AMQP_URL" in message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ["the scheme of the web", "a slash in the password", "two slashes"])
def test_a_wrong_url_as_an_argument(way: str, case: str) -> None:
    url, clue = WRONG_URLS[case]

    message = _assert_refuses(lambda: WAYS[way](url), re.escape(clue))
    assert message.startswith(f"The URL given to {way} has ")


@pytest.mark.parametrize("way", ["connect", "publisher", "consumer"])
@pytest.mark.parametrize("case", ["a heartbeat that is no number", "a CA that is missing", *UNREACHED])
def test_an_argument_that_does_not_lead_to_a_broker(way: str, case: str, closed: int) -> None:
    url, clue = (WRONG_URLS | UNREACHED)[case]

    message = _assert_refuses(lambda: WAYS[way](url.format(closed=closed)), clue)
    assert re.search(f"the URL given to {way}", message, re.IGNORECASE)
    assert "AMQP_URL" not in message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", [None, 5672, b"amqp://127.0.0.1"])
def test_what_is_no_broker(way: str, wrong: object) -> None:
    _assert_refuses(lambda: WAYS[way](wrong), f"{way} was given ")


@pytest.mark.parametrize("wrong", [[], [f"{URL}:99999"], [URL, None]])
def test_wrong_hosts(wrong: list[str]) -> None:
    _assert_refuses(lambda: Publisher(wrong, routing_key="q"), "iven .*publisher|publisher was given")


def test_a_link_carries_no_tls() -> None:
    _assert_refuses(lambda: Link(f"amqps://user:{SECRET}@127.0.0.1"), "A link carries plain amqp://")


OTHER_SETTINGS = {
    "no such source": ({"RMQLAB_BROKER": "magic"}, "RMQLAB_BROKER is 'magic'"),
    "a broker that is not named": ({"RMQLAB_BROKER": "external"}, "AMQP_URL is not set"),
    "no engine": (
        {"RMQLAB_BROKER": "container", "DOCKER_HOST": "unix:///nowhere.sock"},
        "No container engine",
    ),
    "an engine that is none": ({"RMQLAB_BROKER": "container", "DOCKER_HOST": "magic"}, "No container engine"),
    "an engine with a password": (
        {"RMQLAB_BROKER": "container", "DOCKER_HOST": f"tcp://user:{SECRET}@127.0.0.1:{{closed}}"},
        r"No container engine answers at tcp://\*\*\*@127\.0\.0\.1:",
    ),
}


@pytest.mark.parametrize("case", OTHER_SETTINGS)
def test_another_wrong_setting(monkeypatch: pytest.MonkeyPatch, closed: int, case: str) -> None:
    settings, clue = OTHER_SETTINGS[case]
    for name, value in settings.items():
        monkeypatch.setenv(name, value.format(closed=closed))

    _assert_refuses(start_broker, clue)


@pytest.mark.parametrize("image", ["Not/An:Image:Name", "--privileged", "localhost/rmqlab/nowhere:1"])
def test_a_wrong_image(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    if not check_sources()["container"].usable:
        pytest.skip("no container engine answers")
    monkeypatch.setenv("RMQLAB_IMAGE", image)

    _assert_refuses(lambda: start_broker("container"), re.escape(image))


def test_a_wrong_source_of_a_broker_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMQLAB_OWN_BROKER", "external")
    _assert_refuses(lambda: start_broker(own=True), "RMQLAB_OWN_BROKER is 'external'")


# `{closed}` as above; `{api}` is where the management API is, `{port}` its port.
MANAGEMENT_URLS = {
    "a user": (f"http://user:{SECRET}@127.0.0.1:{{port}}", "RMQLAB_MANAGEMENT_URL has a user"),
    "a user, and broken brackets": (f"http://user:{SECRET}@[::1", "RMQLAB_MANAGEMENT_URL has a host"),
    "options": (f"{{api}}/?password={SECRET}", "RMQLAB_MANAGEMENT_URL has a user or options"),
    "no scheme": ("127.0.0.1:{port}", "RMQLAB_MANAGEMENT_URL has no scheme"),
    "another scheme": ("ftp://127.0.0.1:{port}", "RMQLAB_MANAGEMENT_URL has ftp://, not http://"),
    "a wrong port": ("http://127.0.0.1:99999", "RMQLAB_MANAGEMENT_URL has a port"),
    "a closed port": ("http://127.0.0.1:{closed}", "The management API at .* does not answer"),
    "no TLS there": ("https://127.0.0.1:{port}", "The management API at .* has no TLS"),
    "a page of it": ("{api}/api", "What answers at .* is no management API"),
}


@pytest.mark.parametrize("case", MANAGEMENT_URLS)
def test_a_wrong_management_url(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, closed: int, case: str
) -> None:
    if not broker.management_url or not broker.management_url.startswith("http://"):
        pytest.skip("this broker has no plain management API")
    template, clue = MANAGEMENT_URLS[case]
    port = broker.management_url.rpartition(":")[2]
    wrong = template.format(api=broker.management_url, port=port, closed=closed)
    monkeypatch.setenv("AMQP_URL", broker.url)
    monkeypatch.setenv("RMQLAB_MANAGEMENT_URL", wrong)

    message = _assert_refuses(start_broker, clue)
    assert broker.parameters.credentials.password not in message
    assert not check_sources()["external"].usable


@pytest.mark.parametrize("way", ["AMQP_URL", "connect", "publisher", "consumer"])
@pytest.mark.parametrize("case", ["password", "empty password", "virtual host"])
def test_what_the_broker_refuses(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, way: str, case: str
) -> None:
    start, _, end = broker.url.partition(f":{broker.parameters.credentials.password}@")
    url, clue = {
        "password": (f"{start}:{SECRET}@{end}", "refuses user"),
        "empty password": (f"{start}:@{end}", "refuses user"),
        "virtual host": (broker.url.rpartition("/")[0] + "/nowhere", "has no virtual host 'nowhere'"),
    }[case]

    monkeypatch.setenv("AMQP_URL", url)
    message = _assert_refuses(lambda: WAYS[way](url) if way in WAYS else start_broker(), clue)
    assert (f"the URL given to {way}" if way in WAYS else way) in message
    assert broker.parameters.credentials.password not in message


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
