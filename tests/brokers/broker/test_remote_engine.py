"""A container engine that is reached over TCP, as one on another machine is."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from helpers import run_python

from rmqlab.broker._start import check_sources

ELSEWHERE = "127.0.0.2"  # also this machine, so that nothing leaves it; the program is told otherwise

PROGRAM = """if True:
    import contextlib, json, sys
    from rmqlab.broker import _container, start_broker
    from testcontainers.core.config import testcontainers_config

    is_elsewhere = sys.argv[1] == "elsewhere"
    if is_elsewhere:
        _container._is_this_machine = lambda host: False
        _container.EVERYWHERE = "127.0.0.2"
        _container.free_ports = None  # ports of this machine say nothing of that one's
    with start_broker("container") as broker, contextlib.closing(_container._client(timeout_s=5)) as engine:
        name = broker._source.resources()["container"]
        bindings = engine.containers.get(name).attrs["HostConfig"]["PortBindings"]
        print(json.dumps({
            "host": broker.parameters.host,
            "management": broker.management_url.rpartition(":")[0],
            "bound": sorted({each["HostIp"] for port in bindings.values() for each in port}),
            "queues": len(broker.queues()),
            "restarted": broker.restart().lasted_s > 0 if is_elsewhere else None,
            "without ryuk": testcontainers_config.ryuk_disabled,
        }))
"""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine's socket over TCP."""
    for name in [each for each in os.environ if each.startswith("TESTCONTAINERS_")]:
        monkeypatch.delenv(name)
    place = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not place.startswith("unix://") or not check_sources()["container"].usable:
        pytest.skip("no container engine answers at a socket of this machine")
    with socket.create_server((ELSEWHERE, 0)) as server:
        threading.Thread(target=_serve, args=(server, place.removeprefix("unix://")), daemon=True).start()
        yield f"tcp://{ELSEWHERE}:{server.getsockname()[1]}"


def _serve(server: socket.socket, path: str) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:  # the test is over
            return
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(path)
        for source, target in ((client, engine), (engine, client)):
            threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one of both has gone
        return


def _start(engine: str, target: str) -> dict[str, object]:
    code, out, err = run_python("-c", PROGRAM, target, limit_s=180, DOCKER_HOST=engine)
    assert code == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def test_a_broker_on_another_machine_is_reached_there(engine: str) -> None:
    assert _start(engine, "elsewhere") == {
        "host": ELSEWHERE,
        "management": f"http://{ELSEWHERE}",
        "bound": [ELSEWHERE],
        "queues": 0,
        "restarted": True,
        "without ryuk": False,
    }


def test_a_broker_of_this_machine_is_bound_to_loopback_however_its_engine_is_reached(engine: str) -> None:
    found = _start(engine, "here")

    assert (found["host"], found["bound"]) == ("127.0.0.1", ["127.0.0.1"])
    assert found["without ryuk"] is False
