"""The replay of a real run, in a browser: what it shows is what was recorded, and it plays smoothly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from looking import complaints_of, serious_violations
from playwright.sync_api import Browser, Page

from rmqlab.broker import Broker
from rmqlab.experiments import Result, WorkloadConfig, crash_before, make_workload, run_workload
from rmqlab.measure import ConstantDuration

TASKS = 1_000
LEAST_FRAMES_S = 30
LOOK_S = 2
COUNTED = ("published", "confirmed", "received", "redelivered", "acked", "rejected", "requeued", "returned")


@pytest.fixture(scope="module")
def run(own_broker: Broker) -> Result:
    """1,000 tasks of a millisecond, and four workers, of which one crashes."""
    workload = make_workload(TASKS, ConstantDuration(0.001))
    config = WorkloadConfig(
        workload=workload, prefetch_count=5, execute=crash_before(workload.execute, TASKS // 3)
    )
    return run_workload(own_broker, config, progress=False)


@pytest.fixture
def page(browser: Browser, run: Result, tmp_path: Path) -> Iterator[Page]:
    path = tmp_path / "replay.html"
    html = run.replay().html()
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A replay</title>'
    path.write_text(f"{head}<main><h1>A run</h1>{html}")
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    complaints = complaints_of(page)
    page.goto(path.as_uri())
    yield page
    page.close()
    assert not complaints


def _ask(page: Page, call: str) -> Any:
    return page.evaluate(f"document.querySelector('.rmqlab-replay').replay.{call}")


def test_it_plays_smoothly(page: Page) -> None:
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.rmqlab-replay').replay.frames() > 5")
    before, since_ms = _ask(page, "frames()"), page.evaluate("performance.now()")
    page.wait_for_timeout(LOOK_S * 1000)
    frames, took_ms = _ask(page, "frames()") - before, page.evaluate("performance.now()") - since_ms

    assert frames / took_ms * 1000 >= LEAST_FRAMES_S
    page.get_by_role("button", name="Pause").click()
    assert not _ask(page, "isPlaying()")


def test_its_counts_at_the_end_are_those_of_the_ledger(page: Page, run: Result) -> None:
    _ask(page, "seek(1e6)")
    totals = asdict(run.ledgers["run"].totals())

    assert totals["acked"] == TASKS
    assert totals["redelivered"] > 0
    assert _ask(page, "counts()") == {name: totals[name] for name in COUNTED}
    assert f"{totals['received']} delivered" in page.locator(".counts").inner_text()


def test_at_any_time_it_shows_the_depth_that_the_report_has(page: Page, run: Result) -> None:
    frame = run.frame("depth")
    times_s = frame["time_s"].to_numpy()
    gaps = [place for place in range(len(times_s) - 1) if times_s[place + 1] - times_s[place] > 1e-4]
    for place in random.Random(7).sample(gaps, 10):
        _ask(page, f"seek({(times_s[place] + times_s[place + 1]) / 2})")
        known = frame.iloc[place]

        assert _ask(page, "depth(0)") == {"ready": known["ready"], "unacked": known["unacked"]}


def test_it_is_used_with_the_keyboard(page: Page) -> None:
    _ask(page, "seek(0)")
    page.get_by_role("button", name="On by one event").focus()
    page.keyboard.press("Enter")
    first_s = _ask(page, "time_s()")
    page.keyboard.press("Enter")
    assert _ask(page, "time_s()") > first_s > 0
    page.get_by_role("slider", name="Time in the run").focus()
    page.keyboard.press("End")
    assert _ask(page, "time_s()") == _ask(page, "last_s")
    page.get_by_role("spinbutton", name="Message").fill("7")
    assert page.locator(".story").inner_text().startswith("Message 7: published at ")


def test_each_step_goes_on_to_the_next_event_until_the_last(page: Page) -> None:
    steps = """() => {
        const host = document.querySelector('.rmqlab-replay'), { replay } = host;
        const next = host.shadowRoot.querySelector('.next'), times = [];
        replay.seek(0);
        do { times.push(replay.time_s()); next.click(); } while (replay.time_s() > times.at(-1));
        return times;
    }"""
    times_s = page.evaluate(steps)

    assert len(times_s) > TASKS
    assert times_s[-1] == _ask(page, "last_s")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)

    assert serious_violations(page) == []


def test_who_asks_for_no_motion_gets_the_picture_and_its_sentence(
    browser: Browser, run: Result, tmp_path: Path
) -> None:
    path = tmp_path / "still.html"
    path.write_text(f'<meta charset="utf-8">{run.replay().html()}')
    still = browser.new_page(reduced_motion="reduce")
    still.goto(path.as_uri())
    assert not still.get_by_role("button", name="Play").is_visible()
    assert still.locator(".sentence").inner_text() == run.replay().sentence
    still.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(path.as_uri())
    assert plain.get_by_role("img", name=run.replay().sentence).is_visible()
    plain.context.close()
