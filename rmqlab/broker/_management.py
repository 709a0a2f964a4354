"""RabbitMQ's management HTTP API, as far as the lab asks it."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

from rmqlab.broker import _tls
from rmqlab.broker._address import Address, split_url
from rmqlab.closing import Closing
from rmqlab.errors import AddressError, ManagementError

TIMEOUT_S = 5
SETTING = "RMQLAB_MANAGEMENT_URL"
PORTS = {"http": 80, "https": 443}
EXAMPLE = "http://localhost:15672"


class Management(Closing):
    """A client of the management HTTP API, with the user, password and certificates of an AMQP address.

    Source: https://www.rabbitmq.com/docs/http-api-reference
    """

    def __init__(self, base_url: str, address: Address) -> None:
        import httpx

        parts = split_url(base_url, setting=SETTING, ports=PORTS, example=EXAMPLE)
        if parts.username is not None or parts.query:
            raise AddressError(
                f"{SETTING} has a user or options in it, and the user is that of AMQP_URL. "
                f"Next: leave out what is before '@' or behind '?', as in {EXAMPLE}"
            )
        self._base_url = base_url.strip().rstrip("/")
        self._setting = address.setting or "this broker"
        self._extensions = {}
        verify: ssl.SSLContext | bool = True
        if parts.scheme == "https":
            # What the AMQP URL says of certificates, or else the CAs that Python trusts.
            options = address.parameters.ssl_options
            verify = options.context if options else ssl.create_default_context()
            if options and options.server_hostname and parts.hostname == address.host:
                self._extensions = {"sni_hostname": options.server_hostname}
        # trust_env: a proxy of the environment has no business between us and the broker.
        self._client = httpx.Client(
            base_url=f"{self._base_url}/api",
            auth=(address.username, address.password),
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=verify,
        )

    def close(self) -> None:
        """Close the connections of the client."""
        self._client.close()

    def cluster_name(self) -> str:
        """Return the name of the cluster that this API manages."""
        overview = self._call("GET", "/overview", missing=[])
        if not isinstance(overview, dict):
            raise self._is_none()
        return str(overview.get("cluster_name", ""))

    def tags(self) -> list[str]:
        """Return the tags of our user: `administrator` may make virtual hosts."""
        tags = self._call("GET", "/whoami").get("tags", [])
        # RabbitMQ before 3.9 gives one text with commas.
        return tags.split(",") if isinstance(tags, str) else list(tags)

    def create_virtual_host(self, name: str, *, user: str) -> None:
        """Make a virtual host and give a user every right in it."""
        path = quote(name, safe="")
        self._call("PUT", f"/vhosts/{path}", {"description": "made by rmqlab"})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._call("PUT", f"/permissions/{path}/{quote(user, safe='')}", rights)

    def delete_virtual_host(self, name: str) -> None:
        """Delete a virtual host and all that is in it; one that is gone is no error."""
        self._call("DELETE", f"/vhosts/{quote(name, safe='')}", missing={})

    def alarms(self) -> set[str]:
        """Return what the broker is low on at this moment: `memory`, `disk`."""
        unavailable = 503  # which is the API's way to say so
        answer = self._call("GET", "/health/checks/alarms", also=unavailable)
        return {str(each["resource"]) for each in answer.get("alarms", [])}

    def connection_names(self, *, user: str, virtual_host: str) -> set[str]:
        """Return the names, such as `127.0.0.1:51234 -> 127.0.0.1:5672`, of a user's connections now."""
        answer = self._call("GET", f"/connections/username/{quote(user, safe='')}")
        return {each["name"] for each in answer if each["vhost"] == virtual_host}

    def close_connections(self, *, user: str) -> None:
        """Close all connections of a user, also those that `list` does not show yet."""
        self._call("DELETE", f"/connections/username/{quote(user, safe='')}", missing={})

    def delete_queue(self, name: str, virtual_host: str) -> bool:
        """Delete a queue with all that is in it; say whether it was there."""
        path = f"/queues/{quote(virtual_host, safe='')}/{quote(name, safe='')}"
        return self._call("DELETE", path, missing=False) is not False

    def list(self, kind: str, virtual_host: str) -> list[dict[str, Any]]:
        """List the queues, consumers, connections or channels of a virtual host."""
        path = quote(virtual_host, safe="")
        of_virtual_host = kind in ("connections", "channels")
        answer = self._call("GET", f"/vhosts/{path}/{kind}" if of_virtual_host else f"/{kind}/{path}")
        return list(answer)

    def _call(
        self, method: str, path: str, body: object = None, missing: object = None, also: int = 0
    ) -> Any:
        """Ask the API: `missing` is the answer to "not found", and status `also` is no error."""
        import httpx

        try:
            answer = self._client.request(method, path, json=body, extensions=self._extensions)
        except httpx.HTTPError as error:
            if tls_error := _tls.find_error(error):
                who = f"the management API at {self._base_url}"
                raise ManagementError(_tls.explain(tls_error, who, setting=self._setting)) from error
            raise ManagementError(
                f"The management API at {self._base_url} does not answer ({error}). Next: enable the "
                "plugin rabbitmq_management, or set RMQLAB_MANAGEMENT_URL to where it is"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not None:
            return missing
        if answer.is_error and answer.status_code != also:
            raise ManagementError(
                f"The management API at {self._base_url} refuses {method} {path} "
                f"({answer.status_code} {answer.reason_phrase}). Next: give the user of "
                f"{self._setting} the tag 'administrator', or go on without"
            )
        if not answer.content:
            return {}
        try:
            return answer.json()
        except ValueError as error:
            raise self._is_none() from error

    def _is_none(self) -> ManagementError:
        return ManagementError(
            f"What answers at {self._base_url} is no management API. Next: set {SETTING} to where it is"
        )
