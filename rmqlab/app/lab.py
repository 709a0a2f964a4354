"""JupyterLab in this process, on a port that nobody takes from it."""

from __future__ import annotations

import signal

import zmq
from jupyter_client.manager import KernelManager
from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp

from rmqlab.errors import RmqlabError

ENDED_WELL = (None, 0, 128 + signal.SIGTERM)


class LabServer(ServerApp):
    """Jupyter's server, which listens on the port that it finds free, at once.

    Jupyter's own lets go of the port, says its address, and only then takes it. Of two that
    start at the same moment, one could end up with the other's address and no port.
    """

    _listens = False

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


def run_lab(arguments: list[str]) -> None:
    """Run JupyterLab until a signal ends it.

    Args:
        arguments: options of its command line.

    Raises:
        RmqlabError: it could not start.
    """
    LabApp.serverapp_class = LabServer
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
