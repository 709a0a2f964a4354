"""What tests of pages see in a browser: complaints, and what axe finds."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


def complaints_of(page: Page, *, has_server: bool = False) -> list[str]:
    """Return a list to which a page's errors will be added, and what it asks a server that it has not."""
    found: list[str] = []
    page.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    if not has_server:
        page.on("request", lambda asked: found.append(asked.url) if asked.url.startswith("http") else None)
    return found


def serious_violations(page: Page, **options: Any) -> list[str]:
    """Return what axe finds on a page that keeps somebody from using it, once its colors stand."""
    page.evaluate("Promise.allSettled(document.getAnimations().map((each) => each.finished))")
    violations = Axe().run(page, **options).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in violations
        if each["impact"] in SERIOUS
    ]
