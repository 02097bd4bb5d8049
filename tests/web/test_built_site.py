"""The documentation's site in a browser: whole, from nowhere else, searchable without a server."""

from __future__ import annotations

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("index", "start", "figures", "reference/optim", "reference/commands", "house/experiments")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=quiet, check=True)
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where it is served, on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Loads(HTMLParser):
    """Collects what a page makes a browser fetch; links to click on are none of it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        wanted = {"src", "srcset", "data", "poster"} | ({"href"} if tag != "a" else set())
        canonical = ("rel", "canonical") in attrs
        self.found += [value for name, value in attrs if name in wanted and not canonical]


def test_no_page_style_or_picture_names_another_host(site):
    outside = re.compile(r"(https?:)?//")
    for path in site.glob("**/*.html"):
        loads = Loads()
        loads.feed(path.read_text("utf-8"))
        assert [each for each in loads.found if outside.match(each)] == [], path
    for path in site.glob("**/*.css"):
        fetched = re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text()
        )
        assert fetched == [], path


def test_pages_are_whole_and_fetch_nothing_from_elsewhere(address, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for name in PAGES:
            page.goto(f"{address}/{name}.html")
            broken = "[...document.images].filter(each => !each.naturalWidth).map(each => each.src)"
            assert page.evaluate(broken) == []
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_every_link_within_the_site_leads_somewhere(site):
    for path in site.glob("**/*.html"):
        links = re.findall(r'<a[^>]* href="([^"#?:]+\.\w+)(?:#[^"]*)?"', path.read_text("utf-8"))
        if path.name != "404.html":  # which has them from the root
            missing = {each for each in links if not (path.parent / each).exists()}
            assert missing == set(), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_as_light_or_dark_as_the_reader_s_system(browser, address, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/index.html")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    page.close()
    assert (brightness > 128) == (scheme == "light")


@pytest.mark.parametrize("from_files", [False, True])
def test_search_finds_a_page_with_a_server_and_from_files(site, address, page, from_files):
    page.goto(f"{site.as_uri() if from_files else address}/index.html")
    page.focus(".md-search__input")
    page.keyboard.type("trust region")
    page.wait_for_selector(".md-search-result__item")
    found = [
        each.get_attribute("href") for each in page.query_selector_all("a.md-search-result__link")
    ]
    assert any("why-equal-betas.html" in str(each) for each in found)
