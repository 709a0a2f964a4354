"""JupyterLab in this process: it opens at once, and its kernels wait for the broker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from concurrent.futures import Future
from typing import Any

import zmq
from jupyter_client.manager import KernelManager
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyterlab.labapp import LabApp

from rmqlab.app.pages import Pages
from rmqlab.classroom.reports import kernel_options
from rmqlab.errors import RmqlabError

ENDED_WELL = (None, 0, 128 + signal.SIGTERM)

Environment = dict[str, str]


class LabServer(ServerApp):
    """Jupyter's server, which listens on the port that it finds free, at once, and ends without a broker.

    Jupyter's own lets go of the port, says its address, and only then takes it. Of two that
    start at the same moment, one could end up with the other's address and no port.
    """

    broker: Future[Environment]
    _listens = False

    def load_server_extensions(self) -> None:
        """Let Jupyter's extensions add what they serve, after what the lab does."""
        Pages.add_to(self.web_app)
        super().load_server_extensions()

    def start_ioloop(self) -> None:
        """Serve until a signal comes; without a broker there is nothing to serve."""
        self.broker.add_done_callback(self._end_without_broker)
        super().start_ioloop()

    def _end_without_broker(self, broker: Future[Environment]) -> None:
        if broker.exception():
            with contextlib.suppress(RuntimeError):  # it has ended before
                self.io_loop.add_callback(self.stop)

    def _find_http_port(self) -> None:
        wanted = self.port
        try:
            for _ in range(self.port_retries + 1):
                super()._find_http_port()
                self._listens = super()._bind_http_server_tcp()
                if self._listens:
                    return
        except SystemExit as end:
            raise RmqlabError(
                f"JupyterLab finds no free port at {wanted} or near it. Next: name another one with --port"
            ) from end

    def _bind_http_server_tcp(self) -> bool:
        return self._listens or super()._bind_http_server_tcp()


class Kernels(AsyncMappingKernelManager):
    """The kernels of the lab: each starts when the broker has, and finds it in its environment."""

    broker: Future[Environment]

    async def _async_start_kernel(self, *, env: Environment | None = None, **options: Any) -> str:
        variables = await asyncio.shield(asyncio.wrap_future(self.broker))
        environment = {**(env or os.environ), **variables}
        return await super()._async_start_kernel(env=environment, extra_arguments=kernel_options(), **options)

    start_kernel = _async_start_kernel  # type: ignore[assignment] # as its base does


def run_lab(arguments: list[str], broker: Future[Environment]) -> None:
    """Run JupyterLab until a signal ends it, or there can be no broker.

    Args:
        arguments: options of JupyterLab's command line.
        broker: gives, once the broker is up, what kernels need in their environment to find it.

    Raises:
        RmqlabError: JupyterLab could not start, or there is no broker.
    """
    if broker.done():
        broker.result()
    LabApp.serverapp_class = LabServer
    LabServer.broker = Kernels.broker = Pages.broker = broker
    arguments = [*arguments, f"--ServerApp.kernel_manager_class={__name__}.{Kernels.__name__}"]
    # Otherwise each kernel warns, in the reader's terminal, that others could listen to it.
    if hasattr(KernelManager, "transport_encryption") and zmq.has("curve"):
        arguments = [*arguments, "--KernelManager.transport_encryption=auto"]
    try:
        LabApp.launch_instance(arguments)
    except SystemExit as end:
        if end.code not in ENDED_WELL:
            raise RmqlabError(
                "JupyterLab could not start, and says why above. Next: correct that, and start again"
            ) from end
