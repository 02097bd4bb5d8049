"""The browser that the pages are looked at with works."""

from __future__ import annotations

from playwright.sync_api import Page


def test_a_page_runs_its_scripts(page: Page):
    page.set_content("<p id='said'></p><script>said.textContent = 6 * 7</script>")
    assert page.inner_text("#said") == "42"
