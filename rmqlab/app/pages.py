"""The broker's own pages in a tab of JupyterLab, signed in: for a broker that the lab has started.

jupyter-server-proxy shows the tile, and carries what the tab asks for to the broker's management plugin. Only
who has Jupyter's token gets there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler, RewritableResponse
from tornado.web import Application, HTTPError

from rmqlab.broker._address import Address
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._management import MANAGEMENT_SETTING
from rmqlab.broker._source import OWN_SETTING

ICON = Path(__file__).with_name("rabbitmq.svg")
PATH = "rabbitmq"  # the name of the entry point
START_LIMIT_S = 120
POLICY = "Content-Security-Policy"
CARRIED = ("Authorization", "Content-Type", "Accept")
# Fills in the form of the pages, as soon as it is there, and sends it off.
SIGN_IN = """
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
  setTimeout(() => clearInterval(timer), 60000);
})();
"""


def entry() -> dict[str, Any]:
    """Return the tile, which is there in a lab: what jupyter-server-proxy asks each package for."""
    tile = {"enabled": Pages.broker is not None, "title": "RabbitMQ", "icon_path": str(ICON)}
    # Without a command, a place of some kind must be given; in a lab, `Pages` comes before it.
    return {"unix_socket": "", "new_browser_tab": False, "launcher_entry": tile}


class Pages(ProxyHandler):  # type: ignore[misc] # jupyter-server-proxy has no types
    """Carries requests to the pages of the lab's broker, and signs in.

    Attributes:
        broker: gives, once the broker is up, the variables by which one finds it; None without a lab.
    """

    broker: ClassVar[Future[dict[str, str]] | None] = None

    @classmethod
    def add_to(cls, application: Application) -> None:
        """Let Jupyter's server have these pages, for who is signed in there."""
        at = url_path_join(application.settings["base_url"], PATH, "(.*)")
        # Which host it is was never asked of the browser: it is the broker's.
        options = {"host_allowlist": lambda _handler, _host: True}
        application.add_handlers(".*", [(at, cls, options)])

    async def _carry(self, path: str) -> None:
        assert self.broker
        try:
            starting = asyncio.shield(asyncio.wrap_future(self.broker))
            found = await asyncio.wait_for(starting, START_LIMIT_S)
        except Exception:
            found = {}
        if OWN_SETTING not in found or MANAGEMENT_SETTING not in found:
            raise HTTPError(404, reason="The lab has no broker of its own")
        if not path:
            address = Address.parse(found[URL_SETTING])
            self.rewrite_response = _sign_in(address.username, address.password)
        pages = urlsplit(found[MANAGEMENT_SETTING])
        await self.proxy(pages.hostname, pages.port, path)

    http_get = post = put = delete = head = _carry

    def proxy_request_headers(self) -> dict[str, str]:
        """Return what the broker needs to know of a request: nothing of Jupyter's."""
        headers = self.request.headers
        return {name: headers[name] for name in CARRIED if name in headers}


def _sign_in(*secret: str) -> Callable[[RewritableResponse], None]:
    """Return what adds the script that signs in to a page."""
    script = SIGN_IN % json.dumps(secret).replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    def add(response: RewritableResponse) -> None:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return
        tag = f"<script>{script}</script></head>"
        response.body = response.body.replace(b"</head>", tag.encode(), 1)
        policy = response.headers.get(POLICY, "")
        # RabbitMQ 4.3 forbids scripts within a page: let this one in, and no other.
        if "script-src" in policy and "'unsafe-inline'" not in policy:
            response.headers[POLICY] = policy.replace("script-src", f"script-src 'sha256-{digest}'")

    return add
