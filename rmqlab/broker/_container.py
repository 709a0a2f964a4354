"""A RabbitMQ in a container, through testcontainers and any engine with Docker's API."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus

import docker
from docker import APIClient, DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from rmqlab.broker import _source
from rmqlab.broker._address import Address
from rmqlab.broker._connection import ServerInfo
from rmqlab.broker._source import QUICK_STATISTICS, Endpoint, Resources, Server, free_ports
from rmqlab.errors import BrokerEndedError, BrokerError, BrokerUnavailableError

logger = logging.getLogger("rmqlab.broker")

DEFAULT_IMAGE = "rabbitmq:4.3-management"
LOOPBACK, EVERYWHERE = "127.0.0.1", ""
ENGINE_TIMEOUT_S = 5  # for a question to the engine
PULL_TIMEOUT_S = 600  # without a sign of life
CONTROL_TIMEOUT_S = 30
PAUSE_TIMEOUT_S = 10

NO_ENGINE_FIX = (
    "start Docker, or Podman's socket with DOCKER_HOST pointing at it; "
    "or set RMQLAB_BROKER=node to use an installed RabbitMQ"
)

IMAGE_FIX = (
    "correct RMQLAB_IMAGE, or see what docker run says of this image; "
    "or set RMQLAB_BROKER=node to use an installed RabbitMQ"
)

# The version of the API that an engine speaks, by its address: Podman takes a second to say it.
_api_versions: dict[str, str] = {}


def image() -> str:
    """Return the name of the image to use: `RMQLAB_IMAGE`, or the official one."""
    return _source.read_setting("RMQLAB_IMAGE") or DEFAULT_IMAGE


class Container(Server):
    """A container of a RabbitMQ image, bound to loopback, or to all addresses of another machine."""

    when_silent = (
        "see that it is an image of RabbitMQ, how busy the machine is, and that no firewall is between"
    )
    when_ended = "set RMQLAB_IMAGE to an image of RabbitMQ with the management plugin"

    def __init__(self) -> None:
        try:
            client = _client(timeout_s=ENGINE_TIMEOUT_S)
        except Exception:  # docker-py lets through what its transports raise
            place = "the address in DOCKER_HOST" if "DOCKER_HOST" in os.environ else "its usual socket"
            raise BrokerUnavailableError(
                f"No container engine answers at {place}. Next: {NO_ENGINE_FIX}"
            ) from None  # its text may hold a password
        with contextlib.closing(client):
            try:
                client.images.get(image())
                state = "is here"
            except ImageNotFound:
                state = "is to be pulled first"
            except APIError as error:
                raise BrokerUnavailableError(
                    f"The engine cannot use {image()!r} ({_reason(error)}). Next: {IMAGE_FIX}"
                ) from error
        self.detail = f"an engine answers; {image()} {state}"
        self._name = f"rmqlab-{secrets.token_hex(4)}"
        self.title = f"The container of {image()}"

    def resources(self) -> Resources:
        return {"container": self._name}

    def start(self) -> Endpoint:
        from testcontainers.core.docker_client import DockerClient

        logger.info("starting a container: %s", self.detail)
        engine = DockerClient(timeout=PULL_TIMEOUT_S)
        with contextlib.closing(engine.client):
            host = engine.host()
            if _is_this_machine(host):
                host, bound_to, ports = LOOPBACK, LOOPBACK, free_ports(2)
            else:  # which ports are free there cannot be known: the next attempt takes others
                bound_to, ports = EVERYWHERE, secrets.SystemRandom().sample(_source.PORTS, 2)
            self._address = Address("amqp", host, ports[0], "rmqlab", secrets.token_urlsafe(16))
            # A `RabbitMqContainer` would start Ryuk as well, and takes no address to bind a port to.
            try:
                engine.run(
                    image(),
                    detach=True,
                    name=self._name,
                    hostname="rmqlab",
                    labels={"org.rmqlab": "broker"},
                    environment={
                        "RABBITMQ_DEFAULT_USER": self._address.username,
                        "RABBITMQ_DEFAULT_PASS": self._address.password,
                        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": QUICK_STATISTICS,
                    },
                    # Of our choice, so that the URL outlives a restart.
                    ports={"5672/tcp": (bound_to, ports[0]), "15672/tcp": (bound_to, ports[1])},
                )
            except (DockerException, OSError) as error:
                raise BrokerEndedError(
                    f"The container engine does not start {image()} ({_reason(error)}). Next: {IMAGE_FIX}"
                ) from error
        management_url = f"http://{self._address.host_in_url}:{ports[1]}"
        return Endpoint(self._address, management_url, self.wait_until_ready().version)

    def run(self) -> ServerInfo:
        with self._engine() as engine:
            engine.start(self._name)
        return self.wait_until_ready()

    def signal(self, name: str) -> None:
        if self.is_running():
            with self._engine() as engine:
                engine.kill(self._name, signal=name)  # its first process, which takes all others with it

    def is_running(self) -> bool:
        return self._status() not in ("exited", "dead", "removing", None)

    def pause(self) -> None:
        """Freeze the processes of the container; runc gives up when a busy one cannot be frozen at once."""
        last_try = time.monotonic() + PAUSE_TIMEOUT_S
        while True:
            try:
                with self._engine() as engine:
                    engine.pause(self._name)
                return
            except BrokerError:
                if time.monotonic() > last_try or self._status() != "running":
                    raise

    def resume(self) -> None:
        if self._status() == "paused":
            with self._engine() as engine:
                engine.unpause(self._name)

    def _control(self, *arguments: str) -> tuple[int, str]:
        with self._engine() as engine:
            command = engine.exec_create(self._name, ["rabbitmqctl", *arguments])
            printed = engine.exec_start(command).decode(errors="replace")
            return engine.exec_inspect(command)["ExitCode"], printed

    @staticmethod
    def cleanup(resources: Resources) -> None:
        name = resources["container"]
        try:
            client = _client(timeout_s=60)
        except Exception:  # docker-py lets through what its transports raise
            logger.warning("could not remove the container %s: no container engine answers", name)
            return
        with contextlib.closing(client), contextlib.suppress(NotFound):
            with contextlib.suppress(APIError):  # it is not paused
                client.api.unpause(name)
            try:
                client.api.remove_container(name, force=True, v=True)
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:  # another call removes it just now
                    raise

    def _status(self) -> str | None:
        """Return the state of the container; None where there is none."""
        with self._engine() as engine:
            try:
                status: str = engine.inspect_container(self._name)["State"]["Status"]
            except NotFound:
                return None
        return status

    @contextlib.contextmanager
    def _engine(self) -> Iterator[APIClient]:
        """Return the engine's API for a moment; what it refuses is an error of the broker."""
        try:
            with contextlib.closing(_client(timeout_s=CONTROL_TIMEOUT_S)) as client:
                yield client.api
        except (DockerException, OSError) as error:
            raise BrokerError(
                f"The container engine does not do what was asked of {self._name} ({_reason(error)}). "
                "Next: see whether the container runs, and start the broker again"
            ) from error


def _is_this_machine(host: str) -> bool:
    """Return True if a host is this machine: only its addresses can be listened on."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def _client(*, timeout_s: int) -> DockerClient:
    place = os.environ.get("DOCKER_HOST", "")
    client = docker.from_env(
        timeout=timeout_s,
        version=_api_versions.get(place, "auto"),
        use_ssh_client=place.startswith("ssh://"),  # as testcontainers does; the other way needs a package
    )
    client.ping()
    _api_versions[place] = client.api.api_version
    return client


def _reason(error: Exception) -> str:
    """Return the last and most telling part of an engine's nested messages."""
    text = str(getattr(error, "explanation", None) or error)
    return text.strip().splitlines()[-1].rpartition("): ")[2][-160:] if text.strip() else type(error).__name__
