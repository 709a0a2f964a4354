"""What the seats are given: a page of cards to print, and a table to paste."""

from __future__ import annotations

import csv
import html
from pathlib import Path

from rmqlab.broker._external import URL_SETTING
from rmqlab.broker._management import MANAGEMENT_SETTING
from rmqlab.broker._source import read_setting
from rmqlab.classroom.reports import SHARE_SETTING
from rmqlab.classroom.room import ROOM_SETTING, Room, Seat

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Seats of the room</title>
<style>
  body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1rem; }}
  section {{ border: 1px dashed #777; padding: .6rem 1rem; margin: 0 0 .8rem; break-inside: avoid; }}
  h2 {{ margin: 0; font-size: 1.1rem; }}
  pre {{ margin: .3rem 0; white-space: pre-wrap; word-break: break-all; }}
</style>
{cards}
</html>
"""
CARD = """<section>
<h2>Seat {number}</h2>
<p>In a terminal, after <code>pip install rmqlab</code>:</p>
<pre>{shell}</pre>
<p>In PowerShell:</p>
<pre>{power_shell}</pre>
<p>Your teacher's screen shows which cells you have run. To show your guesses as well, without your name, set
{share} to 1, too. One lesson at a time: shut down its kernel before you open the next one.</p>
</section>"""


def write_handout(room: Room, seats: list[Seat], folder: Path) -> tuple[Path, Path]:
    """Write the seats' settings as a page to print and as a table; both hold passwords.

    Args:
        room: the room, whose name the files have.
        seats: its seats.
        folder: where the two files are written; only their owner can read them.

    Returns:
        The page and the table.
    """
    page, table = (folder / f"classroom-{room.name}.{ending}" for ending in ("html", "csv"))
    for path in (page, table):
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
    page.write_text(PAGE.format(cards="\n".join(_card(room, seat) for seat in seats)), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["seat", *_settings(room, seats[0])])
        writer.writerows([seat.name[-2:], *_settings(room, seat).values()] for seat in seats)
    return page, table


def _settings(room: Room, seat: Seat) -> dict[str, str]:
    settings = {URL_SETTING: seat.url, ROOM_SETTING: room.virtual_host}
    if management := read_setting(MANAGEMENT_SETTING):
        settings[MANAGEMENT_SETTING] = management
    return settings


def _card(room: Room, seat: Seat) -> str:
    settings = _settings(room, seat).items()
    shell = [*(f"export {name}='{value}'" for name, value in settings), "rmqlab lab"]
    power_shell = [*(f"$env:{name} = '{value}'" for name, value in settings), "rmqlab lab"]
    return CARD.format(
        number=seat.name[-2:],
        share=SHARE_SETTING,
        shell=html.escape("\n".join(shell)),
        power_shell=html.escape("\n".join(power_shell)),
    )
