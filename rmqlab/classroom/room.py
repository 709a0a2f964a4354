"""The seats of a room: a virtual host, a user and limits for each, made and taken away again."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from rmqlab.broker._address import Address
from rmqlab.broker._connection import probe
from rmqlab.broker._external import URL_SETTING, find_management
from rmqlab.broker._management import NO_MANAGEMENT_FIX, Management
from rmqlab.broker._source import read_setting
from rmqlab.errors import ClassroomError

# What a seat's kernels need in their environment besides AMQP_URL, to tell the room how far they are:
# the room's own virtual host.
ROOM_SETTING = "RMQLAB_CLASSROOM"
PROGRESS = "progress"  # exchange and stream in the room's own virtual host
PROGRESS_BYTES = 50_000_000
MAX_SEATS = 99
READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like another when it is printed
PASSWORD_LENGTH = 14  # 69 bits
ALL = {"configure": ".*", "write": ".*", "read": ".*"}
ONLY_REPORT = {"configure": "^$", "write": f"^{PROGRESS}$", "read": "^$"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one seat may use at most.

    Attributes:
        connections: how many at once; a lesson needs up to 30, and each open lesson one more.
        queues: how many at once.
        megabytes: ready messages of each queue; then the queue drops the oldest ones.

    Sources: https://www.rabbitmq.com/docs/vhosts (limits), https://www.rabbitmq.com/docs/policies
    (operator policies)
    """

    connections: int = 60
    queues: int = 60
    megabytes: int = 32


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the room.

    Attributes:
        name: name of its user and of its virtual host, such as `rmqlab-room-07`.
        url: what its `AMQP_URL` is to be, with the password.
    """

    name: str
    url: str = field(repr=False)


class Room:
    """A classroom on the broker of `AMQP_URL`, whose user is an administrator there.

    Args:
        name: tells it from other rooms on the same broker: small letters and digits.

    Raises:
        ClassroomError: the name is none, or there is no management API.
        AddressError: `AMQP_URL` cannot be right.
        BrokerUnavailableError: no broker answers there.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch("[a-z0-9]{1,20}", name):
            raise ClassroomError(
                f"{name!r} is no name of a room. Next: use up to 20 small letters and digits"
            )
        url = read_setting(URL_SETTING)
        if not url:
            raise ClassroomError(
                f"{URL_SETTING} is not set. Next: set it to the URL of the room's broker, with a user "
                "who is an administrator there"
            )
        self.name, self.virtual_host = name, f"rmqlab-{name}"
        self._given = Address.parse(url, setting=URL_SETTING)
        self._management_url = find_management(self._given, probe(self._given))
        self._mark = f"rmqlab-classroom-{name}"  # the tag that `end` knows its own by

    @property
    def host(self) -> str:
        """The host that the seats are to connect to, if it is not told otherwise."""
        return self._given.host

    @property
    def url(self) -> str:
        """The URL of the room's own virtual host, for who made the room; holds the password."""
        return dataclasses.replace(self._given, virtual_host=self.virtual_host).url

    def open(self, seats: int, limits: Limits, *, host: str = "") -> list[Seat]:
        """Make the seats, all or none.

        Args:
            seats: how many, 1 to `MAX_SEATS`.
            limits: what each may use.
            host: what the seats' machines call the broker; the host of `AMQP_URL` if empty.

        Raises:
            ClassroomError: there is such a room already, or one of its names is somebody else's.
            ManagementError: the broker refused something.
        """
        names = [f"{self.virtual_host}-{number:02}" for number in range(1, seats + 1)]
        with self._management() as management:
            self._refuse_taken(management, names)
            try:
                self._make_own(management)
                return [self._make_seat(management, name, limits, host or self.host) for name in names]
            except BaseException:  # an interrupt as well
                self._take_away(management)
                raise

    def end(self) -> int:
        """Take away what `open` made, and nothing else; return how many seats there were."""
        with self._management() as management:
            return self._take_away(management)

    def seats(self) -> list[str]:
        """Return the names of the room's seats."""
        with self._management() as management:
            return sorted(self._ours(management, "users"))

    @contextlib.contextmanager
    def _management(self) -> Iterator[Management]:
        if not self._management_url:
            raise ClassroomError(
                f"A classroom needs the broker's management API, and none answers. Next: {NO_MANAGEMENT_FIX}"
            )
        with Management(self._management_url, self._given) as management:
            if not management.may_create_virtual_hosts():
                raise ClassroomError(
                    f"The user of {URL_SETTING} is no administrator. Next: give it the tag 'administrator'"
                )
            yield management

    def _ours(self, management: Management, kind: str) -> list[str]:
        found = management.call("GET", f"/{kind}")
        names = [each["name"] for each in found if self._mark in each.get("tags", ())]
        return [name for name in names if re.fullmatch(rf"{self.virtual_host}(-\d\d)?", name)]

    def _refuse_taken(self, management: Management, names: list[str]) -> None:
        taken = {each["name"] for kind in ("vhosts", "users") for each in management.call("GET", f"/{kind}")}
        if found := sorted(taken & {self.virtual_host, *names}):
            raise ClassroomError(
                f"There is a virtual host or a user {found[0]} already. "
                "Next: end that room with --end, or name another one with --room"
            )

    def _make_own(self, management: Management) -> None:
        """Make the virtual host over which the seats report: a stream, for a page that is opened late."""
        own = self.virtual_host
        management.call("PUT", f"/vhosts/{own}", {"tags": self._mark})
        management.call("PUT", f"/permissions/{own}/{quote(self._given.username, safe='')}", ALL)
        management.call("PUT", f"/exchanges/{own}/{PROGRESS}", {"type": "fanout", "durable": True})
        stream = {"x-queue-type": "stream", "x-max-length-bytes": PROGRESS_BYTES}
        management.call("PUT", f"/queues/{own}/{PROGRESS}", {"durable": True, "arguments": stream})
        management.call("POST", f"/bindings/{own}/e/{PROGRESS}/q/{PROGRESS}", {})

    def _make_seat(self, management: Management, name: str, limits: Limits, host: str) -> Seat:
        password = "".join(secrets.choice(READABLE) for _ in range(PASSWORD_LENGTH))
        management.call("PUT", f"/vhosts/{name}", {"tags": self._mark})
        # With the tag "management" it sees its own virtual host in the management API, and no other.
        user = {"password": password, "tags": f"management,{self._mark}"}
        management.call("PUT", f"/users/{name}", user)
        management.call("PUT", f"/permissions/{name}/{name}", ALL)
        management.call("PUT", f"/permissions/{self.virtual_host}/{name}", ONLY_REPORT)
        for limit, value in (("max-connections", limits.connections), ("max-queues", limits.queues)):
            management.call("PUT", f"/vhost-limits/{name}/{limit}", {"value": value})
        # One of an operator, which no policy and no argument of a queue can undo.
        size = {"pattern": ".*", "definition": {"max-length-bytes": limits.megabytes * 1_000_000}}
        management.call("PUT", f"/operator-policies/{name}/rmqlab-size", size)
        # The options of our own URL name files of this machine.
        address = dataclasses.replace(
            self._given, host=host, username=name, password=password, virtual_host=name, query=""
        )
        return Seat(name, address.url)

    def _take_away(self, management: Management) -> int:
        users = self._ours(management, "users")
        for kind, names in (("users", users), ("vhosts", self._ours(management, "vhosts"))):
            for name in names:
                management.call("DELETE", f"/{kind}/{name}", missing={})
        return len(users)
