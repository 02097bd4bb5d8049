"""A report in a real browser: what it says is right, on any screen, and nothing in it does harm."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from oracles.report_reader import chart, opened, search
from oracles.reported_stores import HOSTILE
from playwright.sync_api import Browser, Page, expect


def test_the_policy_forbids_everything_but_one_script_and_one_style(runs, folder):
    text = (folder / "duel.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    for name in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", parts[name])
    assert len(parts) == 5
    assert not re.search(r"<[^>]+\s(src|style|on\w+)=", text.partition("<body>")[2].partition(
        "<script>")[0])  # fmt: skip


def test_scripts_from_elsewhere_do_not_run(browser: Browser, runs, folder):
    """The policy does what it says: an inline script that was put in afterwards stays still."""
    text = (folder / "duel.html").read_text()
    tampered = folder / "tampered.html"
    tampered.write_text(text.replace("</main>", "<script>document.title='owned'</script></main>"))
    said: list[str] = []
    quiet = browser.new_page()
    quiet.on("console", lambda message: said.append(message.text))
    quiet.goto(tampered.as_uri())
    quiet.wait_for_selector("html[data-ready=yes]")
    assert quiet.title() == "Report on the store “duel”"
    assert any("Content Security Policy" in each for each in said)
    quiet.close()


def test_hostile_names_are_text_everywhere(page: Page, attacked):
    text = attacked.read_text()
    assert "\u202e" not in text.partition('<script type="application/json"')[0]
    assert text.count("</script>") == text.count("<script") == 5
    opened(page, attacked)
    for figure in page.locator("figure[data-chart]").all():
        page.evaluate("each => each.closest('details') && (each.closest('details').open = true)",
                      figure.element_handle())  # fmt: skip
        figure.scroll_into_view_if_needed()
        figure.locator("svg").first.wait_for()
        figure.locator("svg").first.focus()
        page.keyboard.press("ArrowRight")
        figure.get_by_text("Values as a table").last.click()
    names = page.locator(".run-name").all()
    for place in range(len(names)):
        page.locator(".run-name").nth(place).click()
        page.keyboard.press("Escape")
    search(page, HOSTILE[0].lower())
    page.locator("#theme").click()
    assert page.title() == HOSTILE[1]
    assert (
        page.evaluate("document.querySelectorAll('main img, dialog img, iframe, [onload]').length")
        == 0
    )
    assert page.evaluate("document.scripts.length") == 5
    assert "\u202e" not in page.locator("body").inner_text()
    assert "evil\\u202egnp.exe" in page.locator("main").inner_text()


def test_verdicts_come_first_with_n_and_the_test(shown: Page):
    sections = shown.locator("main > section > h2").all_inner_texts()
    assert sections == [
        "Verdicts",
        "duel",
        "Audit",
        "Claims of the paper",
        "Environment",
        "All runs",
    ]
    card = shown.locator(".verdict", has_text="adam wins")
    assert "n = 6 seeds" in card.inner_text()
    assert "Student's t" in card.inner_text()
    assert shown.locator(".verdict").first.inner_text().startswith("Runs without a result")


def test_numbers_in_the_page_are_those_of_its_data(shown: Page, runs):
    """The ranking's cells against pandas: best setting, mean and twice the deviation over seeds."""
    table = shown.locator("#comparison-1 table").first
    head = table.locator("thead th").all_inner_texts()
    for row in table.locator("tbody tr").all():
        cells = dict(zip(head, row.locator("th, td").all_inner_texts(), strict=True))
        fresh = runs[(runs["method"] == cells["method"]) & (runs["seed"] > 100)]["perplexity"]
        assert cells["perplexity"] == f"{fresh.mean():.2f}"
        assert cells["2σ"] == f"{2 * fresh.std():.2f}"
        assert cells["n"] == str(len(fresh))
    data = json.loads(shown.locator("#data-runs").text_content() or "")
    assert len(data["columns"]["run"]) == len(runs)


def test_dark_and_light(shown: Page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = shown.evaluate(ground)
    shown.emulate_media(color_scheme="dark")
    dark = shown.evaluate(ground)
    assert _brightness(light) > 200 > 60 > _brightness(dark)
    shown.locator("#theme").click()
    shown.locator("#theme").click()
    assert shown.locator("#theme").inner_text() == "Colours: light"
    assert shown.evaluate(ground) == light
    curve = chart(shown, "comparison-1-rates").locator("path.curve").first
    assert curve.evaluate("each => getComputedStyle(each).stroke") == "rgb(27, 108, 168)"


def _brightness(color: str) -> float:
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_a_phone_scrolls_down_only(shown: Page):
    shown.set_viewport_size({"width": 360, "height": 740})
    for figure in shown.locator("figure[data-chart]").all():
        figure.scroll_into_view_if_needed()
    for summary in shown.locator("main details:not(.values) > summary").all():
        summary.click()
    shown.wait_for_timeout(200)  # a chart that appears late may be the one that is too wide
    shown.wait_for_function("document.documentElement.scrollWidth <= 360")
    shown.locator(".run-name").first.click()
    assert shown.evaluate("document.querySelector('dialog').scrollWidth") <= 360
    assert shown.evaluate("document.querySelector('dialog').getBoundingClientRect().right") <= 360


def test_paper_has_every_chart_and_a_list_that_is_cut(shown: Page):
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.locator("figure[data-chart]").count() > 3
    expect(shown.locator("figure[data-chart]:not(:has(svg))")).to_have_count(0)
    assert not shown.locator("#run-list").is_visible()
    assert shown.get_by_text("on paper it is cut").is_visible()
    assert shown.locator(".print-only tbody tr").count() == 40
    assert (
        shown.evaluate("document.querySelectorAll('main details:not([open]):not(.values)').length")
        == 0
    )
    assert _brightness(shown.evaluate("getComputedStyle(document.body).backgroundColor")) == 255
    assert shown.pdf().startswith(b"%PDF")
    shown.emulate_media(media="screen")
    expect(shown.locator("main > section > details[open]")).to_have_count(0)


def test_headings_do_not_skip_and_everything_has_a_name(shown: Page):
    tags = "each => each.map(heading => Number(heading.tagName[1]))"
    levels = shown.locator("body :is(h1, h2, h3, h4)").evaluate_all(tags)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for figure in shown.locator("figure[data-chart]").all():
        figure.scroll_into_view_if_needed()
    nameless = (
        "each => each.filter(one => !one.ariaLabel && !one.getAttribute('aria-labelledby')).length"
    )
    named = shown.locator("svg[role=img], [role=region], [role=table]")
    assert named.evaluate_all(nameless) == 0
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
