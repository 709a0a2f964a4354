"""The command line, as its user meets it: an exit code, and one message with the next step."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
import pytest
from helpers import SECRET, assert_one_sentence, read_until, run_command, run_python, running
from jupyter_client import BlockingKernelClient
from nbformat import v4

from rmqlab.broker import Broker

TIME_LIMIT_S = 60

_running = functools.partial(running, "-m", "rmqlab", stdin=subprocess.DEVNULL)


def _assert_fails(code: int, err: str, clue: str) -> None:
    """See that a command ended with code 1, and at last with one message: the cause and the next step."""
    assert code == 1
    said_before, _, message = err.rpartition("rmqlab: ")
    assert_one_sentence(message, re.escape(clue))
    assert not re.search("Next: |Traceback", said_before)


def test_what_is_no_broker_is_one_message_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"amqp://user:{SECRET}@127.0.0.1:{server.getsockname()[1]}"
        with _running("broker", "true", AMQP_URL=url) as process, server.accept()[0] as peer:
            peer.recv(100)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
            out, err = process.communicate(timeout=TIME_LIMIT_S)

    _assert_fails(process.returncode, err, "does not speak AMQP 0-9-1")
    assert out == ""


def test_doctor_says_what_is_used() -> None:
    code, out, _ = run_command("doctor", RMQLAB_BROKER="external")

    assert code == 1
    assert "broker to be used" in out
    assert "set AMQP_URL" in out


def test_doctor_is_content_with_a_broker_that_answers(broker: Broker) -> None:
    code, out, err = run_command("doctor", **broker.environment())

    assert code == 0
    assert f"RabbitMQ {broker.version} at" in out
    assert broker.parameters.credentials.password not in out + err


@pytest.mark.parametrize("expected", [0, 3])
def test_broker_runs_a_command_with_its_url_and_options_and_ends_as_it_does(
    broker: Broker, expected: int
) -> None:
    program = """if True:
        import os, pika, sys
        pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        print(*sys.argv[2:])
        sys.exit(int(sys.argv[1]))
    """
    command = (sys.executable, "-c", program, str(expected), "--help", "-x")
    code, out, err = run_command("broker", *command, **broker.environment())

    assert code == expected
    assert out == "--help -x\n"
    assert f"RabbitMQ {broker.version}, source: external" in err
    assert "Traceback" not in err
    assert broker.parameters.credentials.password not in err


def test_broker_names_a_command_that_does_not_exist(broker: Broker) -> None:
    code, _, err = run_command("broker", "nonexistent-command", **broker.environment())

    _assert_fails(code, err, "'nonexistent-command' cannot be run")


@pytest.mark.parametrize(
    ("hangup", "signaled", "code"),
    [("default", False, 128 + 15), ("default", True, 128 + 15), ("ignore", False, 7)],
    ids=["not informed", "informed by SIGHUP", "with SIGHUP ignored"],
)
def test_a_command_ends_with_its_terminal_unless_it_is_to_stay(
    broker: Broker, hangup: str, signaled: bool, code: int
) -> None:
    # The kernel tells the leader of a session only; that may be `make`, which then waits for us.
    # `cat` ends with the terminal; three looks at the terminal later, we know who stayed.
    under = ("env", f"--{hangup}-signal=HUP")
    command = ("broker", "sh", "-c", "echo here; cat; sleep 3; exit 7")
    ours, theirs = os.openpty()
    with _running(*command, under=under, stdin=theirs, **broker.environment()) as process:
        os.close(theirs)
        read_until(process.stdout, "here")
        os.close(ours)
        if signaled:
            process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=30)

    assert process.returncode == code
    assert "Traceback" not in err


def test_the_lab_runs_a_kernel_without_a_warning_and_ends_well(broker: Broker, tmp_path: Path) -> None:
    settings = {"JUPYTER_RUNTIME_DIR": str(tmp_path)} | broker.environment()
    with _running("lab", "--no-browser", "--port", "0", **settings) as process:
        shown = read_until(process.stderr, "    http://")
        server, _, token = shown.split()[-1].partition("/lab/tree/notebooks/00_start_here.ipynb?token=")
        order = Request(f"{server}/api/kernels?token={token}", data=b"{}")
        with urlopen(order, timeout=30) as answer:
            kernel = json.load(answer)["id"]
        client = BlockingKernelClient(connection_file=str(tmp_path / f"kernel-{kernel}.json"))
        client.load_connection_file()
        # No heartbeat: jupyter_client takes a kernel for dead that misses one while it starts up.
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        client.kernel_info(reply=True, timeout=60)
        client.stop_channels()
        process.terminate()
        _, rest = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "JupyterLab and its broker have ended." in rest
    assert "Kernel started" in rest
    assert "[IPKernelApp] WARNING" not in rest


def test_a_lab_without_a_free_port_fails_with_the_next_step(broker: Broker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"JUPYTER_PORT_RETRIES": "0"} | broker.environment()
        code, _, err = run_command("lab", "--no-browser", "--port", port, **settings)

    _assert_fails(code, err, f"no free port at {port}")


def test_a_lab_that_jupyter_refuses_to_start_fails_with_the_next_step(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "jupyter_server_config.py").write_text("c.ServerApp.port_retries = 'many'")
    code, _, err = run_command(
        "lab", "--no-browser", JUPYTER_CONFIG_DIR=str(tmp_path), **broker.environment()
    )

    _assert_fails(code, err, "JupyterLab could not start")


def test_a_lab_keeps_the_port_that_it_has_found() -> None:
    # Another program takes the port between the look for a free one and the taking.
    program = """if True:
        import socket
        from jupyter_server.serverapp import ServerApp
        from rmqlab.app.lab import LabServer

        look, rivals = ServerApp._find_http_port, []

        def look_and_be_late(self):
            look(self)
            if not rivals:
                rivals.append(socket.create_server(("127.0.0.1", self.port)))

        ServerApp._find_http_port = look_and_be_late
        server = LabServer(ip="127.0.0.1", allow_root=True)
        server.initialize([], find_extensions=False)
        socket.create_connection(("127.0.0.1", server.port), 5).close()
        print(server.port != rivals[0].getsockname()[1] and f":{server.port}/" in server.connection_url)
    """
    code, out, err = run_python("-c", program, limit_s=60)

    assert code == 0, err
    assert out == "True\n"


def test_run_executes_reports_and_rewrites_what_passed(broker: Broker, tmp_path: Path) -> None:
    # The good one proves that its kernel finds the broker.
    cell = "from rmqlab import start_broker\nwith start_broker() as broker:\n    print(broker.source)"
    good = v4.new_notebook(cells=[v4.new_markdown_cell("# Try it"), v4.new_code_cell(cell)])
    bad = v4.new_notebook(cells=[v4.new_code_cell("1 / 0")])
    paths = [tmp_path / "good.ipynb", tmp_path / "bad.ipynb"]
    for path, notebook in zip(paths, [good, bad], strict=True):
        nbformat.write(notebook, path)
    before = paths[1].read_bytes()
    build = tmp_path / "build"
    code, out, err = run_command(
        *("run", "--in-place", "--output", str(build), *map(str, paths)), **broker.environment()
    )

    assert code == 1
    assert "bad: code cell 1 raised ZeroDivisionError" in err
    assert "1 of 2 lessons failed: bad" in err
    assert "Traceback" not in err
    for path in (build / "notebooks" / "good.ipynb", paths[0]):
        assert nbformat.read(path, as_version=4).cells[1].outputs[0].text == "external\n"
    assert paths[1].read_bytes() == before
    assert str(build / "report" / "index.html") in out
    assert "Try it" in (build / "report" / "index.html").read_text(encoding="utf-8")
