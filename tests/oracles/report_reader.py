"""A reader of a report's page: opens it, goes to a chart, searches the list of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page


def opened(page: Page, path: Path) -> Page:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    assert requests == [path.as_uri()]
    page.on("request", lambda request: pytest.fail(f"a request to {request.url}"))
    return page


def chart(page: Page, key: str):
    """A chart that has been drawn."""
    figure = page.locator(f"#{key}-chart")
    figure.scroll_into_view_if_needed()
    figure.locator("svg").wait_for()
    return figure


def listed(page: Page) -> int:
    said = page.locator("#run-list [role=status]").inner_text()
    return int(said.partition(" of ")[0].replace(",", ""))


def search(page: Page, words: str) -> int:
    page.fill("#search", words)
    return listed(page)
