"""Reach a broker on this machine to which there is no route for a moment."""

from __future__ import annotations

import errno
import ipaddress
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from rmqlab.broker._address import innermost

# A container's port on loopback leads to the container's own address. An engine that starts or
# ends a container may take away for some seconds the route to another one: each attempt then
# fails three seconds later, as nobody answers to its address (so seen with Podman 4.3 and
# netavark). Loopback itself always has a route, and what is not on it fails at once.
UNREACHABLE_LIMIT_S = 8
TRY_AGAIN_S = 0.2
T = TypeVar("T")


def reach(connect: Callable[[], T], *, host: str, pause: Callable[[float], None] = time.sleep) -> T:
    """Open a connection, and try again for some seconds if there is no route to a port on loopback.

    What a broker, or a host without one, answers is an answer, and ends it at once.

    Args:
        connect: opens the connection; raises an error whose cause is what went wrong.
        host: name or address of the broker's host.
        pause: waits for so many seconds.

    Returns:
        What `connect` returns.

    Raises:
        Exception: whatever the last attempt raised.
    """
    if not _is_loopback(host):
        return connect()
    retrying = Retrying(
        sleep=pause,
        wait=wait_fixed(TRY_AGAIN_S),
        stop=stop_after_delay(UNREACHABLE_LIMIT_S),
        retry=retry_if_exception(_is_unreachable),
        reraise=True,
    )
    return retrying(connect)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _is_unreachable(error: BaseException) -> bool:
    cause = error.__cause__
    if cause is None:
        return False
    reason = innermost(cause)
    return isinstance(reason, OSError) and reason.errno == errno.EHOSTUNREACH
