"""A private RabbitMQ node: own folder, own ports on loopback, own credentials, no root."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import psutil

from rmqlab.broker._address import Address
from rmqlab.broker._connection import ServerInfo
from rmqlab.broker._source import QUICK_STATISTICS, Endpoint, Resources, Server, free_ports
from rmqlab.errors import BrokerUnavailableError
from rmqlab.interrupts import wait_until

logger = logging.getLogger("rmqlab.broker")

KILL_TIMEOUT_S = 5
CONTROL_TIMEOUT_S = 30

# Every process of a node inherits this variable, which is how we find them all again: the
# server, its helpers, and the epmd that it leaves running.
MARK = "RMQLAB_NODE"

INSTALL = (
    "install RabbitMQ (Debian, Ubuntu: apt-get install rabbitmq-server; "
    "macOS: brew install rabbitmq; conda: conda install -c conda-forge rabbitmq-server)"
)


def server_script() -> Path | None:
    """Find the script that starts a RabbitMQ server without asking for root."""
    # Debian's command on the PATH insists on root or the rabbitmq user; what it wraps does not.
    folders = ["/usr/lib/rabbitmq/bin", str(Path(sys.prefix) / "bin"), *os.get_exec_path()]
    folders += ["/usr/local/sbin", "/opt/homebrew/sbin", "/usr/sbin"]
    found = shutil.which("rabbitmq-server", path=os.pathsep.join(folders))
    return Path(found) if found else None


class Node(Server):
    """A node of the RabbitMQ that is installed on this machine."""

    title = "The private node"
    when_silent = "see how busy the machine is, and try again"
    when_ended = "run rmqlab doctor; another way is Docker, or AMQP_URL"

    def __init__(self) -> None:
        if os.name != "posix":
            raise BrokerUnavailableError(
                "A private node needs Linux or macOS. Next: use Docker, or set AMQP_URL"
            )
        script = server_script()
        if script is None:
            raise BrokerUnavailableError(f"No rabbitmq-server is installed. Next: {INSTALL}")
        self._script = script
        self.detail = f"RabbitMQ is installed: {script}"
        self._token = secrets.token_hex(4)  # so that labs side by side do not meet
        self._folder = Path(tempfile.gettempdir()) / f"rmqlab-node-{self._token}"

    def resources(self) -> Resources:
        return {"folder": str(self._folder)}

    def start(self) -> Endpoint:
        self._folder.mkdir(mode=0o700)
        amqp_port, management_port, distribution_port, epmd_port = free_ports(4)
        self._address = Address("amqp", "127.0.0.1", amqp_port, "rmqlab", secrets.token_urlsafe(16))
        self._write_configuration(self._address, management_port)
        self._environment = self._describe_environment(distribution_port, epmd_port)
        return Endpoint(self._address, f"http://127.0.0.1:{management_port}", self.run().version)

    def run(self) -> ServerInfo:
        with (self._folder / "output").open("wb") as output:
            self._script_process = self._call(self._script, output)
        return self.wait_until_ready()

    def signal(self, name: str) -> psutil.Process | None:
        """Send a signal to the Erlang VM of the server, and return that, if there is one."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            server = psutil.Process(int((self._folder / "pid").read_text()))
            if server.environ().get(MARK) == str(self._folder):  # the number may be another's by now
                server.send_signal(getattr(signal, name))
                return server
        return None

    def is_running(self) -> bool:
        return self._script_process.poll() is None

    def pause(self) -> None:
        if server := self.signal("SIGSTOP"):
            wait_until(lambda: server.status() == psutil.STATUS_STOPPED, KILL_TIMEOUT_S, every_s=0.01)

    def resume(self) -> None:
        self.signal("SIGCONT")

    def _control(self, *arguments: str) -> tuple[int, str]:
        with tempfile.TemporaryFile() as output:
            process = self._call(self._script.with_name("rabbitmqctl"), output, *arguments)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CONTROL_TIMEOUT_S)
            process.kill()
            output.seek(0)
            return process.wait(), output.read().decode(errors="replace")

    @staticmethod
    def cleanup(resources: Resources) -> None:
        folder = Path(resources["folder"])
        deadline_s = time.monotonic() + KILL_TIMEOUT_S
        # Twice at least, and until nothing is found: a process that is being started can escape a look.
        while (processes := _end_processes_of(folder)) or folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            if time.monotonic() > deadline_s:
                logger.warning("still there: %s", [*processes, folder])
                break

    def _write_configuration(self, address: Address, management_port: int) -> None:
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{address.port}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": management_port,
            "default_user": address.username,
            "default_pass": address.password,
            "log.file": "false",
            "log.console": "true",
            "log.console.level": "warning",
        }
        lines = [f"{key} = {value}\n" for key, value in settings.items()]
        (self._folder / "rabbitmq.conf").write_text("".join(lines))

    def _describe_environment(self, distribution_port: int, epmd_port: int) -> dict[str, str]:
        folder = str(self._folder)
        # A variable of the surrounding RabbitMQ or Erlang must not reach ours.
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_"))
        }
        return inherited | {
            MARK: folder,
            "HOME": folder,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_NODENAME": f"rmqlab-{self._token}@localhost",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-kernel inet_dist_use_interface {{127,0,0,1}} {QUICK_STATISTICS}"
            ),
        }

    def _call(self, script: Path, output: IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C reaches the lab and not the broker.
        return subprocess.Popen(
            [str(script), *arguments],
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "output").read_text(errors="replace").split("\n")
        except OSError:  # the broker was stopped meanwhile
            return ""
        errors = [line.strip() for line in lines if re.search(r"\berror", line, re.IGNORECASE)]
        return f" ({errors[0][:200]})" if errors else ""


def _end_processes_of(folder: Path) -> list[psutil.Process]:
    """Kill what belongs to the node, and return what that was."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it ended, or is somebody else's
            if process.environ().get(MARK) == str(folder):
                found.append(process)
                process.kill()
    psutil.wait_procs(found, timeout=KILL_TIMEOUT_S)
    return found
