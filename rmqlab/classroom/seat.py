"""What a seat's kernels tell the room: which cells have run, and the guesses of who agrees.

An extension of IPython, which `rmqlab lab` and `rmqlab run` load where `RMQLAB_CLASSROOM` is set. It is
never in a lesson's way: it sends from a thread of its own, and what cannot be sent is left out.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import logging
import os
import queue
import re
import threading
from pathlib import Path
from typing import Any

import pika

from rmqlab import course
from rmqlab.broker._address import Address
from rmqlab.broker._connection import TIMEOUTS, quiet_pika
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._source import read_setting
from rmqlab.classroom.room import PROGRESS, ROOM_SETTING

SHARE_SETTING = "RMQLAB_SHARE_GUESSES"
LESSON_SETTING = "JPY_SESSION_NAME"  # Jupyter's server sets it to the notebook's path
GUESS = re.compile(r"^(\w*guess) = ", re.MULTILINE)
# A cell's metadata: what was measured of a Predict, as an expression by the id of its guess cell.
MEASURED = "measured"
MAX_TEXT = 100
MAX_WAITING = 500
END_TIMEOUT_S = 3

logger = logging.getLogger("rmqlab.classroom")


def kernel_options() -> list[str]:
    """Return what a kernel is started with so that it reports to the room, if it is at a seat."""
    return [f"--IPKernelApp.extra_extensions={__name__}"] if read_setting(ROOM_SETTING) else []


def load_ipython_extension(shell: Any) -> None:
    """Report each cell that has run, if this kernel is at a seat."""
    room = read_setting(ROOM_SETTING)
    url = read_setting(URL_SETTING)
    if not room or not url:
        return
    address = dataclasses.replace(Address.parse(url, setting=URL_SETTING), virtual_host=room)
    shares = read_setting(SHARE_SETTING) == "1"
    sender = Sender(address)
    lesson = _Lesson(os.environ.get(LESSON_SETTING, ""))

    def report(result: Any) -> None:
        with contextlib.suppress(Exception):  # a report is not worth an error below a reader's cell
            if cell := getattr(result.info, "cell_id", None) or lesson.ids.get(result.info.raw_cell):
                said: dict[str, object] = {"cell": cell, "ok": bool(result.success)}
                if result.success:
                    said["measured"] = lesson.measured(cell, shell.user_ns)
                    said["guess"] = _guess(result.info.raw_cell, shell.user_ns) if shares else None
                sender.send(said)

    shell.events.register("post_run_cell", report)


class _Lesson:
    """What the lesson of this kernel says of its cells; nothing, if the kernel is no lesson's."""

    def __init__(self, name: str) -> None:
        self.ids: dict[str, str] = {}  # by source: not every client tells the id
        self._measured: dict[str, dict[str, str]] = {}
        path = course.NOTEBOOKS / Path(name).name
        if not name or not path.is_file():
            return
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                self.ids["".join(cell["source"])] = cell["id"]
                self._measured[cell["id"]] = cell["metadata"].get(MEASURED, {})

    def measured(self, cell: str, names: dict[str, Any]) -> dict[str, float | str]:
        """Return what was measured when a cell has run, by Predict."""
        expressions = self._measured.get(cell, {}).items()
        return {predict: _plain(eval(each, dict(names))) for predict, each in expressions}  # noqa: S307 # ours


def _guess(source: str, names: dict[str, Any]) -> float | str | None:
    """Return the guess that a cell has made, if it is one for a guess."""
    found = GUESS.search(source)
    value = names.get(found[1]) if found else None
    return None if value is None else _plain(value)


def _plain(value: Any) -> float | str:
    """Return a number as it is, and all else as a short string."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return str(value)[:MAX_TEXT]


class Sender:
    """Publishes reports to the room from a thread; one that cannot be sent is dropped.

    Args:
        address: the room's virtual host, with the seat's user.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: queue.Queue[dict[str, object] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="rmqlab-seat", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def send(self, report: dict[str, object]) -> None:
        """Send a report soon, and return at once."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(report)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        parameters = self._address.parameters_for("rmqlab seat", **TIMEOUTS)
        parameters.heartbeat = 0  # nothing serves it between two cells
        # The broker compares this with who is connected: no seat speaks for another.
        properties = pika.BasicProperties(user_id=self._address.username, content_type="application/json")
        connection: Any = None
        channel: Any = None
        while (report := self._waiting.get()) is not None:
            try:
                if connection is None or not connection.is_open:
                    with quiet_pika():
                        connection = pika.BlockingConnection(parameters)
                    channel = connection.channel()
                channel.basic_publish(PROGRESS, "", json.dumps(report).encode(), properties)
            except Exception as error:  # whatever pika raises
                logger.debug("a report was not sent: %r", error)
                connection = None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
