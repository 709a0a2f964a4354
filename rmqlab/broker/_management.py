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
MANAGEMENT_SETTING = "RMQLAB_MANAGEMENT_URL"
EXAMPLE = "http://localhost:15672"
NO_MANAGEMENT_FIX = f"enable the plugin rabbitmq_management, or set {MANAGEMENT_SETTING} to where it is"


class Management(Closing):
    """A client of the management HTTP API, with the user, password and certificates of an AMQP address.

    Source: https://www.rabbitmq.com/docs/http-api-reference
    """

    def __init__(self, base_url: str, address: Address) -> None:
        import httpx

        parts = split_url(base_url, setting=MANAGEMENT_SETTING, schemes=("http", "https"), example=EXAMPLE)
        if parts.username is not None or parts.query:
            raise AddressError(
                f"{MANAGEMENT_SETTING} has a user or options in it, and the user is that of AMQP_URL. "
                f"Next: leave out what is before '@' or behind '?', as in {EXAMPLE}"
            )
        self._base_url = base_url.strip().rstrip("/")
        self._setting = address.setting or "this broker"
        self._user, self._virtual_host = _quoted(address.username), _quoted(address.virtual_host)
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
        overview = self.call("GET", "/overview", missing=[])
        if not isinstance(overview, dict):
            raise self._is_none()
        return str(overview.get("cluster_name", ""))

    def may_create_virtual_hosts(self) -> bool:
        """Return True if our user is an administrator."""
        # The tags are a list, or before RabbitMQ 3.9 one string with commas.
        return "administrator" in self.call("GET", "/whoami").get("tags", [])

    def create_virtual_host(self, name: str) -> None:
        """Make a virtual host and give our user every right in it."""
        self.call("PUT", f"/vhosts/{_quoted(name)}", {"description": "made by rmqlab"})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"/permissions/{_quoted(name)}/{self._user}", rights)

    def delete_virtual_host(self, name: str) -> None:
        """Delete a virtual host and all that is in it; one that is gone is no error."""
        self.call("DELETE", f"/vhosts/{_quoted(name)}", missing={})

    def alarms(self) -> set[str]:
        """Return what the broker is low on at this moment: `memory`, `disk`."""
        answer = self.call("GET", "/health/checks/alarms", also=503)  # its way to say that there are some
        return {str(each["resource"]) for each in answer.get("alarms", [])}

    def connection_names(self) -> set[str]:
        """Return the names of our user's connections now, also of those that `list` does not show yet."""
        answer = self.call("GET", f"/connections/username/{self._user}")
        return {each["name"] for each in answer if _quoted(each["vhost"]) == self._virtual_host}

    def close_connections(self) -> None:
        """Close all connections of our user."""
        self.call("DELETE", f"/connections/username/{self._user}", missing={})

    def delete_queue(self, name: str) -> bool:
        """Delete a queue with all that is in it; return whether it was there."""
        path = f"/queues/{self._virtual_host}/{_quoted(name)}"
        return self.call("DELETE", path, missing=False) is not False

    def list(self, kind: str) -> list[dict[str, Any]]:
        """List the queues, consumers or connections of the virtual host."""
        is_connections = kind == "connections"
        path = f"/vhosts/{self._virtual_host}/{kind}" if is_connections else f"/{kind}/{self._virtual_host}"
        return list(self.call("GET", path))

    def call(self, method: str, path: str, body: object = None, missing: object = None, also: int = 0) -> Any:
        """Ask the API: `missing` is the answer to "not found", and status `also` is no error."""
        import httpx

        try:
            answer = self._client.request(method, path, json=body, extensions=self._extensions)
        except httpx.HTTPError as error:
            if tls_error := _tls.find_error(error):
                who = f"the management API at {self._base_url}"
                raise ManagementError(_tls.explain(tls_error, who, setting=self._setting)) from error
            raise ManagementError(
                f"The management API at {self._base_url} does not answer ({error}). Next: {NO_MANAGEMENT_FIX}"
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
            f"What answers at {self._base_url} is no management API. "
            f"Next: set {MANAGEMENT_SETTING} to where it is"
        )


def _quoted(name: str) -> str:
    return quote(name, safe="")
