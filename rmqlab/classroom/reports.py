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
import numbers
import os
import re
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pika

from rmqlab import course
from rmqlab.amqp import connect
from rmqlab.broker._address import Address
from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._source import read_setting
from rmqlab.classroom.room import PROGRESS, ROOM_SETTING

SHARE_SETTING = "RMQLAB_SHARE_GUESSES"
LESSON_SETTING = "JPY_SESSION_NAME"  # Jupyter's server sets it to the notebook's path
GUESS = re.compile(r"^(\w*guess) = ", re.MULTILINE)
# A cell's metadata: what was measured of a Predict, as an expression by the id of its guess cell.
MEASURED = "measured"
MAX_TEXT = 100
END_TIMEOUT_S = 3

logger = logging.getLogger("rmqlab.classroom")


class Report(msgspec.Struct):
    """What a seat says of a cell that has run.

    Attributes:
        cell: its id.
        ok: whether it ran without an error.
        guess: the guess that it holds, of who shares it.
        measured: what was measured when it had run, by the id of the guess cell.
    """

    cell: str
    ok: bool
    guess: float | str | None = None
    measured: dict[str, float | str | None] = {}


def kernel_options() -> list[str]:
    """Return what a kernel is started with so that it reports to the room, if it is at a seat."""
    return [f"--IPKernelApp.extra_extensions={__name__}"] if read_setting(ROOM_SETTING) else []


def load_ipython_extension(shell: Any) -> None:
    """Report each cell that has run, if this kernel is at a seat."""
    room, url = read_setting(ROOM_SETTING), read_setting(URL_SETTING)
    if not room or not url:
        return
    address = dataclasses.replace(Address.parse(url, setting=URL_SETTING), virtual_host=room)
    waiting: SimpleQueue[Report | None] = SimpleQueue()
    thread = threading.Thread(target=_send, args=(address, waiting), name="rmqlab-seat", daemon=True)
    thread.start()

    def end() -> None:
        waiting.put(None)
        thread.join(END_TIMEOUT_S)

    atexit.register(end)
    shares = read_setting(SHARE_SETTING) == "1"
    cells = _code_cells(os.environ.get(LESSON_SETTING, ""))
    ids = {"".join(cell["source"]): cell["id"] for cell in cells}  # not every client tells the id
    measured = {cell["id"]: cell["metadata"].get(MEASURED, {}) for cell in cells}

    def report(result: Any) -> None:
        with contextlib.suppress(Exception):  # a report is not worth an error below a reader's cell
            source, names = result.info.raw_cell, dict(shell.user_ns)
            if cell := getattr(result.info, "cell_id", None) or ids.get(source):
                said = Report(cell, bool(result.success))
                if said.ok:
                    expressions = measured.get(cell, {}).items()
                    said.measured = {key: _plain(eval(each, names)) for key, each in expressions}  # noqa: S307 # ours
                    said.guess = _guess(source, names) if shares else None
                waiting.put(said)

    shell.events.register("post_run_cell", report)


def _code_cells(lesson: str) -> list[dict[str, Any]]:
    """Return the code cells of the lesson of this kernel; none, if the kernel is no lesson's."""
    path = course.NOTEBOOKS / Path(lesson).name
    if not path.is_file():
        return []
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def _guess(source: str, names: dict[str, Any]) -> float | str | None:
    """Return the guess that a cell has made, if it is one for a guess."""
    found = GUESS.search(source)
    value = names.get(found[1]) if found else None
    return None if value is None else _plain(value)


def _plain(value: Any) -> float | str:
    """Return a number as such, and all else as a short string."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if is_number else str(value)[:MAX_TEXT]


def _send(address: Address, waiting: SimpleQueue[Report | None]) -> None:
    """Publish what waits to the room, until there is None; a report that cannot be sent is dropped."""
    # The broker compares this with who is connected: no seat speaks for another.
    properties = pika.BasicProperties(user_id=address.username, content_type="application/json")
    while (report := waiting.get()) is not None:
        try:
            with connect(address.url, name="rmqlab seat") as connection:
                connection.channel().basic_publish(PROGRESS, "", msgspec.json.encode(report), properties)
        except Exception as error:  # whatever pika raises
            logger.debug("a report was not sent: %r", error)
