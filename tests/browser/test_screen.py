"""The teacher's page of a room, in a browser."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from looking import complaints_of
from playwright.sync_api import Browser

from rmqlab.classroom.progress import Course, Progress
from rmqlab.classroom.screen import PAGE

SEATS = [f"rmqlab-room-{number:02}" for number in range(1, 21)]


@pytest.fixture
def progress() -> Progress:
    """A room at lesson 01, with guesses of numbers and of words."""
    course = Course()
    progress = Progress(course, SEATS)
    for lesson, guesses in (("00", ["lost", "in the queue"]), ("01", [8, 8, 4, 6.5])):
        own = [key for key, cell in course.cells.items() if cell.lesson == lesson]
        for number, seat in enumerate(SEATS):
            for cell in own[:number]:
                progress.note(seat, json.dumps({"cell": cell, "ok": True}).encode())
        asked = next(key for key in course.questions if key in own)
        for seat, guess in zip(SEATS, guesses, strict=False):
            progress.note(seat, json.dumps({"cell": asked, "ok": True, "guess": guess}).encode())
        measured = {asked: 6.2 if lesson == "01" else "in the queue"}
        progress.note(SEATS[0], json.dumps({"cell": own[-1], "ok": False, "measured": measured}).encode())
    return progress


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_room_shows_seats_and_guesses(
    browser: Browser, progress: Progress, scheme: str
) -> None:
    page = browser.new_page(color_scheme=scheme)
    complaints = complaints_of(page, has_server=True)
    page.route("http://room/", lambda route: route.fulfill(path=PAGE))
    page.route("http://room/progress", lambda route: route.fulfill(json={"room": "room"} | progress.shown()))
    page.goto("http://room/")
    page.wait_for_selector("figure")
    assert page.locator("tbody tr").count() == len(SEATS)
    assert page.locator("circle").count() == 4
    assert page.locator("li").all_inner_texts() == ["in the queue ● 1", "lost ● 1"]
    assert page.locator(".told").all_inner_texts() == ["measured: in the queue"]
    assert "measured: 6.2" in page.locator("svg").text_content()
    assert "its last cell failed" in page.locator("tbody tr").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not Axe().run(page).response["violations"]
    page.close()
    assert not complaints
