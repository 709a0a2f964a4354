"""The site as `make site` has made it, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
# A browser of its own accord looks for updates and experiments on other hosts.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@pytest.fixture(scope="session")
def site() -> Path:
    """Where `make site` has put the site."""
    folder = ROOT / "build" / "site"
    if not (folder / "index.html").is_file():
        pytest.fail("There is no site. Next: `make site`, or `make browser`, which does both")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("There is no Chromium. Next: `make browser` installs it, or name it with CHROMIUM=…")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()
