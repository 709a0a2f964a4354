"""Reaching a broker: what is tried again, and what is an answer."""

from __future__ import annotations

import errno
import time

import pytest
from pika.exceptions import AMQPConnectionError

from rmqlab.broker._connection import UNREACHABLE_LIMIT_S, reach
from rmqlab.errors import BrokerUnavailableError

HERE = "127.0.0.1"


class Attempts:
    """Fails as a connection does, so many times, and counts."""

    def __init__(self, code: int, failures: int) -> None:
        self.code, self.failures, self.made = code, failures, 0

    def __call__(self) -> str:
        self.made += 1
        if self.made > self.failures:
            return "open"
        reason = AMQPConnectionError(OSError(self.code, "said by the network"))
        raise BrokerUnavailableError("No broker answers") from reason


@pytest.mark.parametrize("host", [HERE, "127.1.2.3", "::1", "localhost"])
def test_what_is_on_this_machine_without_a_route_is_tried_again(host: str) -> None:
    assert reach(Attempts(errno.EHOSTUNREACH, failures=2), host=host, pause=lambda _: None) == "open"


@pytest.mark.parametrize(
    ("code", "host"),
    [(errno.ECONNREFUSED, HERE), (errno.ENETUNREACH, HERE), (errno.EHOSTUNREACH, "192.0.2.1")],
)
def test_an_answer_and_what_is_elsewhere_are_not_asked_for_again(code: int, host: str) -> None:
    attempts = Attempts(code, failures=1)

    with pytest.raises(BrokerUnavailableError):
        reach(attempts, host=host)
    assert attempts.made == 1


def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    def pause(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now_s)

    with pytest.raises(BrokerUnavailableError):
        reach(Attempts(errno.EHOSTUNREACH, failures=1000), host=HERE, pause=pause)
    assert UNREACHABLE_LIMIT_S <= now_s < UNREACHABLE_LIMIT_S + 1
