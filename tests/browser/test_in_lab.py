"""Replay and live view in JupyterLab: shown without running anything, and beside a busy cell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from helpers import ledger_of
from jupyter_lab import homes, jupyter_lab, open_notebook, run_cell, write_notebook
from playwright.sync_api import Browser, Page

from rmqlab.broker import Broker
from rmqlab.view import Scene, replay

LEAST_UPDATES_S = 5
WINDOWS, WINDOW_MS = 5, 1000

WATCH = ["import rmqlab\nbroker = rmqlab.start_broker()\nbroker", "view = rmqlab.watch(broker)\nview"]
BUSY = """
import pika, time
with pika.BlockingConnection(broker.parameters) as connection:
    channel = connection.channel()
    channel.queue_declare("engine:tasks", durable=True)
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        channel.basic_publish("", "engine:tasks", b"task")
        time.sleep(0.001)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that was run and trusted, and one that was not."""
    folder = tmp_path_factory.mktemp("lab")
    ledger = ledger_of((1.0, "published", 0), (1.5, "delivered", 0, "a"), (1.9, "acked", 0, "a"))
    bundle = replay(Scene(ledger, {"a": "engine:tasks"}))._repr_mimebundle_()
    cell = nbformat.v4.new_code_cell("result.replay()", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("execute_result", bundle, execution_count=1)]
    write_notebook(folder / "stored.ipynb", cell)
    write_notebook(folder / "live.ipynb", *WATCH, BUSY)
    return folder


@pytest.fixture(scope="module")
def lab(folder: Path, own_broker: Broker) -> Iterator[str]:
    """The address of a JupyterLab on these notebooks."""
    trust = [sys.executable, "-m", "jupyter", "trust", str(folder / "stored.ipynb")]
    subprocess.run(trust, env=os.environ | homes(folder), check=True, timeout=60, capture_output=True)
    with jupyter_lab(folder, own_broker) as address:
        yield address


def test_a_stored_replay_plays_without_running_anything(browser: Browser, lab: str) -> None:
    page = open_notebook(browser, lab, "stored.ipynb")
    page.get_by_role("button", name="Play").click(timeout=20_000)
    page.wait_for_function("document.querySelector('.rmqlab-replay').replay.frames() > 5")
    page.wait_for_function(
        "document.querySelector('.rmqlab-replay').replay.counts().acked === 1", timeout=30_000
    )
    page.close()


def test_the_live_view_follows_a_cell_that_is_running(browser: Browser, lab: str) -> None:
    page = open_notebook(browser, lab, "live.ipynb")
    for number in range(3):
        run_cell(page, number)
    page.wait_for_selector("[data-updates] svg text:has-text('ready')", timeout=60_000)
    page.wait_for_function("Number(document.querySelector('[data-updates]').dataset.updates) > 10")
    rates = []
    for _ in range(WINDOWS):
        before = _updates(page)
        page.wait_for_timeout(WINDOW_MS)
        rates.append((_updates(page) - before) / WINDOW_MS * 1000)
    status = page.locator(".jp-Notebook-ExecutionIndicator").first.get_attribute("data-status")

    assert status == "busy"
    assert max(rates) >= LEAST_UPDATES_S, rates
    page.close()


def _updates(page: Page) -> int:
    return int(page.locator("[data-updates]").first.get_attribute("data-updates") or 0)
