"""The broker's own pages in a tab of JupyterLab: signed in, and only for who has Jupyter's token."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from jupyter_lab import served
from playwright.sync_api import Browser

from rmqlab.broker import Broker


@pytest.fixture(scope="module")
def lab(own_broker: Broker) -> Iterator[str]:
    """The address of an `rmqlab lab` with a broker of its own."""
    command = ("-m", "rmqlab", "lab", "--no-browser", "--port", "0")
    with served(*command, RMQLAB_BROKER=own_broker.source) as address:
        yield address


def test_a_tile_leads_to_the_pages_signed_in(browser: Browser, lab: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    base, token = lab.split("/lab", maxsplit=1)[0], lab.split("token=")[1]
    page.goto(f"{base}/lab?reset&token={token}")
    page.locator(".jp-LauncherCard", has_text="RabbitMQ").click(timeout=60_000)
    pages = page.frame_locator("iframe")
    pages.get_by_role("heading", name="Overview").wait_for(timeout=60_000)
    assert not pages.locator("input[name=password]").count()
    pages.get_by_role("link", name="Exchanges").first.click()
    pages.get_by_text("amq.topic").first.wait_for()
    page.close()


def test_who_has_no_token_gets_nowhere(lab: str) -> None:
    base = lab.split("/lab", maxsplit=1)[0]
    answer = httpx.get(f"{base}/rabbitmq/", trust_env=False)

    assert answer.is_redirect
    assert "/login" in answer.headers["location"]
