"""The site, as a reader's browser shows it: opened from a folder, without a server."""

from __future__ import annotations

import html
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from looking import complaints_of, serious_violations
from playwright.sync_api import Browser, Page

# How a page is shown: color scheme, and width in pixels.
VIEWS = {"light": ("light", 1400), "dark": ("dark", 1400), "phone": ("light", 390)}
PARTS = 4
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
NAMELESS = "Array.from(document.images).filter(i => !i.alt.trim()).map(i => i.src)"


@pytest.fixture(params=VIEWS)
def view(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    scheme, width = VIEWS[request.param]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield context.new_page()
    context.close()


def _pages(site: Path) -> list[Path]:
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    assert len(pages) > 15
    return pages


def test_no_page_has_an_error_asks_another_host_is_too_wide_or_has_a_nameless_image(view, site) -> None:
    found = complaints_of(view)
    for path in _pages(site):
        view.goto(path.as_uri())
        if (wider := view.evaluate(WIDER)) > 0:
            found.append(f"{wider} pixels wider than the window")
        found += [f"no alternative text: {source}" for source in view.evaluate(NAMELESS)]
        assert found == [], path.relative_to(site)


# In parts, which several processes share.
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("view", ["light", "dark"], indirect=True)
def test_axe_finds_nothing_serious(view: Page, site: Path, part: int) -> None:
    for path in _pages(site)[part::PARTS]:
        view.goto(path.as_uri())
        assert serious_violations(view, options={"preload": False}) == [], path.relative_to(site)


def test_search_finds_the_lesson_on_prefetch(browser: Browser, site: Path) -> None:
    page = browser.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=prefetch")
    page.wait_for_selector("#search-results li a", timeout=10_000)

    assert "Share work fairly" in page.locator("#search-results").inner_text()
    page.close()


def test_each_link_within_the_site_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in _pages(site)}
    broken = []
    for path, text in texts.items():
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text):
            target, _, place = html.unescape(link).partition("#")
            if urllib.parse.urlsplit(target).scheme:
                continue
            page = (path.parent / urllib.parse.unquote(target)).resolve() if target else path
            if not page.exists() or (place and f'id="{place}"' not in texts.get(page, "")):
                broken.append((path.name, link))

    assert broken == []


def test_solutions_and_claims_are_folded(browser: Browser, site: Path) -> None:
    page = browser.new_page()
    page.goto((site / "notebooks" / "06_share_work_fairly.html").as_uri())
    folded = page.locator("details.hide:not([open])")

    assert folded.count() >= 5
    page.close()
