"""The broker's own pages in a tab of JupyterLab, signed in: for a broker that the lab has started.

jupyter-server-proxy shows the tile, and carries what the tab asks for to a socket in a folder of ours. So
only who has Jupyter's token gets there.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import psutil
from tornado import netutil
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from rmqlab.broker._address import Address
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._management import MANAGEMENT_SETTING
from rmqlab.broker._source import OWN_SETTING
from rmqlab.closing import Closing

PREFIX = "rmqlab-pages-"
ICON = Path(__file__).with_name("rabbitmq.svg")
TIMEOUT_S = 20
CARRIED = ("Authorization", "Content-Type", "Accept")
# Fills in the form of the pages, as soon as it is there, and sends it off.
SIGN_IN = """<script>
(() => {
  const [user, password] = %s;
  const timer = setInterval(() => {
    const form = document.querySelector("form[action='#/login']");
    if (!form) return;
    clearInterval(timer);
    form.elements.username.value = user;
    form.elements.password.value = password;
    form.requestSubmit();
  }, 100);
  setTimeout(() => clearInterval(timer), 10000);
})();
</script>"""

NO_CONTENT = 204


def entry() -> dict[str, Any]:
    """Return the tile and the way to the pages: what jupyter-server-proxy asks each package for."""
    return {
        "command": [],  # it runs already
        "unix_socket": str(Pages.socket or ""),
        "new_browser_tab": False,
        "launcher_entry": {
            "enabled": Pages.socket is not None,
            "title": "RabbitMQ",
            "icon_path": str(ICON),
        },
    }


class Pages(Closing):
    """Serves the pages of the lab's broker over a socket of ours, from Jupyter's own loop.

    Args:
        broker: gives, once the broker is up, the variables by which one finds it.

    Attributes:
        socket: where the lab of this process serves the pages; None without a lab.
    """

    socket: ClassVar[Path | None] = None

    def __init__(self, broker: Future[dict[str, str]]) -> None:
        _remove_what_killed_labs_left()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))  # for this user alone
        if hasattr(socket, "AF_UNIX"):  # not on Windows: there is no tile there
            Pages.socket = self._folder / "socket"
        pages = [("/(.*)", _Page, {"broker": broker})]
        self._server = HTTPServer(Application(pages, log_function=lambda _: None))

    def listen(self) -> None:
        """Take connections; called in the loop that is to serve them."""
        if self.socket:
            self._server.add_socket(netutil.bind_unix_socket(str(self.socket), mode=0o600))

    def close(self) -> None:
        """Take no more connections, and remove the socket. Safe to call twice."""
        self._server.stop()
        Pages.socket = None
        shutil.rmtree(self._folder, ignore_errors=True)


def _remove_what_killed_labs_left() -> None:
    """Remove the folders of processes that there are no more: one that is killed cannot do so itself."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).split("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


class _Page(RequestHandler):
    """Asks the broker's management plugin for what is asked here."""

    def initialize(self, broker: Future[dict[str, str]]) -> None:
        self._broker = broker

    def check_xsrf_cookie(self) -> None:
        """Jupyter's server has seen to that."""

    async def _carry(self, path: str) -> None:
        found = self._broker.result() if self._broker.done() and not self._broker.exception() else {}
        if OWN_SETTING not in found or MANAGEMENT_SETTING not in found:
            self.set_status(404)
            self.finish("The lab has no broker of its own, or not yet. Next: load this page again")
            return
        query = f"?{self.request.query}" if self.request.query else ""
        answer = await AsyncHTTPClient().fetch(
            HTTPRequest(
                f"{found[MANAGEMENT_SETTING]}/{path}{query}",
                method=self.request.method or "GET",
                body=self.request.body or None,
                headers={name: value for name in CARRIED if (value := self.request.headers.get(name))},
                allow_nonstandard_methods=True,
                request_timeout=TIMEOUT_S,
            ),
            raise_error=False,
        )
        self.set_status(answer.code, answer.reason)
        kind = answer.headers.get("Content-Type", "")
        self.set_header("Content-Type", kind)
        body = answer.body
        if not path and kind.startswith("text/html"):
            address = Address.parse(found[URL_SETTING])
            secret = json.dumps([address.username, address.password]).replace("<", "\\u003c")
            body = body.replace(b"</head>", (SIGN_IN % secret).encode() + b"</head>", 1)
        if body and answer.code != NO_CONTENT:
            self.write(body)

    get = post = put = delete = head = _carry
