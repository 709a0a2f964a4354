"""A JupyterLab on some notebooks, and what a test does in it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
from helpers import running
from playwright import sync_api
from playwright.sync_api import Browser, Page

from rmqlab.broker import Broker

TRIES = 10
OPENINGS, OPEN_LIMIT_MS = 3, 60_000
CLICKS_S = int(os.environ.get("RMQLAB_CLICKS_S", "120"))  # on the playground; 3600 before a release
LIMIT_S = 300 + CLICKS_S


def write_notebook(path: Path, *cells: str | nbformat.NotebookNode) -> None:
    """Write a notebook of code cells; a text is the source of one."""
    made = [nbformat.v4.new_code_cell(each) if isinstance(each, str) else each for each in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


@contextlib.contextmanager
def jupyter_lab(folder: Path, broker: Broker) -> Iterator[str]:
    """Serve JupyterLab on a folder; yield its address, with a token. Its kernels know the broker."""
    options = ["--no-browser", "--allow-root", f"--ServerApp.root_dir={folder}", "--ServerApp.port=0"]
    settings = homes(folder) | broker.environment()
    with served("-m", "jupyterlab", *options, **settings) as address:
        yield address


@contextlib.contextmanager
def served(*command: str, **settings: str) -> Iterator[str]:
    """Run what serves JupyterLab; yield its address, with a token."""
    with running(*command, limit_s=LIMIT_S, **settings) as server:
        assert server.stderr
        address = ""
        for line in server.stderr:
            if found := re.search(r"http://127\S+?/lab\S*?\?token=\w+", line):
                address = found[0]
                break
        rest = threading.Thread(target=server.stderr.read)
        rest.start()
        yield address
        server.send_signal(signal.SIGTERM)
        rest.join(30)


def homes(folder: Path) -> dict[str, str]:
    """Return where Jupyter keeps what it knows of this folder's notebooks."""
    return {f"JUPYTER_{each}_DIR": str(folder / f".{each}") for each in ("CONFIG", "DATA", "RUNTIME")}


def open_notebook(browser: Browser, lab: str, notebook: str) -> Page:
    """Open a notebook, and wait for its kernel; where JupyterLab gets stuck, open it again."""
    page = browser.new_page(viewport={"width": 1400, "height": 1400})
    dialog = page.locator(".jp-Dialog")

    def accept() -> None:
        with contextlib.suppress(sync_api.TimeoutError):  # it may have gone by itself
            logging.warning(
                "JupyterLab asks: %s", dialog.inner_text(timeout=1000)
            )  # e.g. which kernel to take
            dialog.locator("button.jp-mod-accept").click(timeout=1000)

    page.add_locator_handler(dialog, accept, no_wait_after=True)
    for opening in range(OPENINGS):
        page.goto(lab.replace("/lab?", f"/lab/tree/{notebook}?reset&"))
        try:
            page.wait_for_selector(".jp-Notebook", timeout=OPEN_LIMIT_MS)
            page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=OPEN_LIMIT_MS)
            break
        except sync_api.TimeoutError:
            if opening == OPENINGS - 1:
                raise
    return page


def run_cell(page: Page, number: int) -> None:
    """Run a cell that was not run before; wait until it begins."""
    cell = page.locator(".jp-CodeCell").nth(number)
    has_begun = cell.locator(".jp-InputPrompt:not(:has-text('[ ]:'))")
    for _ in range(TRIES):  # keys go nowhere until the editor is ready
        cell.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(sync_api.TimeoutError):
            has_begun.wait_for(timeout=1000)
            return
    has_begun.wait_for()
