"""The report's page in a real browser: what it shows is right, and nothing in it can do harm."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from oracles.reported_stores import BETAS, HOSTILE, adam_loss, duel, hostile
from oracles.stored_runs import stored
from playwright.sync_api import Browser, Page, expect

from descentlab.analysis import load, load_curves
from descentlab.analysis.report.document import (
    Column,
    Details,
    Grid,
    Paragraph,
    Section,
    Verdict,
)
from descentlab.analysis.report.gathering import Extras
from descentlab.runs.store import Store
from descentlab.web.report import write_report

MANY = 90
CLAIM = {
    "key": "adam-below-signum",
    "statement": f"Adam is below {HOSTILE[0]}",
    "where": "Table 1",
    "needs": "runs",
    "test": "paired t-test",
    "family": "",
    "findings": {
        "laptop": {
            "claim": "", "verdict": "holds", "effect": "90% [80%, 95%]", "value": 0.9, "low": 0.8,
            "high": 0.95, "confidence": 0.95, "p_value": 0.01, "n": 6, "counted": "seeds",
            "method": "mean", "reason": "", "settle": "", "caveats": [HOSTILE[1]],
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def runs(folder) -> pd.DataFrame:
    """The runs of the duel, whose page is ``duel.html``."""
    store = duel(folder / "duel")
    write_report(store, folder / "duel.html", extras=Extras(claims=[CLAIM]))
    return load(store)


@pytest.fixture
def shown(page: Page, runs, folder) -> Page:
    """The page of the duel, open; a request to anywhere else fails the test."""
    return opened(page, folder / "duel.html")


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


def test_the_pointer_finds_a_value(shown: Page, runs):
    """Over the lowest dot of the chart the tip has the perplexity of the lowest tuning run."""
    figure = chart(shown, "comparison-1-rates")
    dots = figure.locator("circle.point.s1:not(.faint)").all()
    places = [box for dot in dots if (box := dot.bounding_box()) is not None]
    lowest = max(places, key=lambda box: box["y"])
    shown.mouse.move(lowest["x"] + lowest["width"] / 2, lowest["y"] + lowest["height"] / 2)
    tip = figure.locator(".tip").inner_text()
    tuned = runs[(runs["method"] == "adam") & (runs["seed"] == 0)]
    best = tuned.loc[tuned["perplexity"].idxmin()]
    assert tip.startswith("adam\n")
    assert "learning rate: 0.002" in tip
    assert f"held-out perplexity: {best['perplexity']:.4g}" in tip
    assert "β1 = 0.9, β2 = 0.95" in tip
    assert best["run"] in tip


def test_a_finger_sees_a_value_before_it_opens_a_run(browser: Browser, runs, folder):
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.goto((folder / "duel.html").as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    figure = chart(page, "comparison-1-rates")
    box = figure.locator("circle.point.s1:not(.faint)").first.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.touchscreen.tap(*at)
    assert "held-out perplexity" in figure.locator(".tip").inner_text()
    assert not page.locator("#opened").is_visible()
    page.touchscreen.tap(*at)
    page.locator("#opened").wait_for(state="visible")
    assert page.locator("#opened-title").inner_text() in set(runs["run"])
    page.close()


def test_keys_walk_through_a_chart_and_open_a_run(shown: Page):
    figure = chart(shown, "comparison-1-rates")
    figure.locator("svg").focus()
    shown.keyboard.press("ArrowRight")
    tip = figure.locator(".tip").inner_text()
    run = re.findall(r"run ([0-9a-f]{16})", tip)
    shown.keyboard.press("Enter")
    assert shown.locator("#opened-title").inner_text() == run[0]
    shown.keyboard.press("Escape")
    assert not shown.locator("#opened").is_visible()


def test_a_name_of_the_legend_hides_its_line(shown: Page):
    figure = chart(shown, "comparison-1-rates")
    assert figure.locator("path.curve").count() == 2
    figure.get_by_role("button", name="signum").click()
    assert figure.locator("path.curve").count() == 1
    assert figure.get_by_role("button", name="signum").get_attribute("aria-pressed") == "false"


def test_the_values_of_a_chart_are_a_table(shown: Page, runs):
    figure = chart(shown, "comparison-1-adam-betas")
    figure.get_by_text("Values as a table").click()
    figure.locator("tbody").wait_for()
    cells = figure.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells == [f"{math.exp(adam_loss(2e-3, 0.95, beta2)):.2f}" for beta2 in BETAS]
    figure.locator("rect.cell").nth(2).hover(force=True)
    assert figure.locator(".tip").inner_text().startswith("β1 = 0.95, β2 = 0.95")


def test_training_curves_can_be_chosen(shown: Page, runs, folder):
    figure = chart(shown, "comparison-1-training")
    assert figure.locator("path.curve").count() == 12
    figure.get_by_label("Draw").select_option("all signum")
    assert figure.locator("path.curve").count() == 17  # one has no finite loss
    figure.get_by_label("Draw").select_option("ticked")
    assert "No run with a curve is ticked" in figure.inner_text()
    shown.locator("#run-list input[type=checkbox]").first.check()
    assert figure.locator("path.curve").count() == 1
    figure.get_by_label("Smooth over").select_option("0")
    figure.locator("svg").focus()
    shown.keyboard.press("ArrowRight")
    run = shown.locator(".run-name").first.inner_text()
    first = load_curves(folder / "duel", [run]).iloc[0]
    value = float(
        re.findall(r"training perplexity: ([\d.]+)", figure.locator(".tip").inner_text())[0]
    )
    assert value == pytest.approx(math.exp(first["loss"]), rel=1e-3)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("signum", lambda runs: runs["method"] == "signum"),
        ("ADAM done", lambda runs: (runs["method"] == "adam") & (runs["state"] == "done")),
        ("pending", lambda runs: runs["state"] == "pending"),
        ("lr>=0.004 lr<0.008", lambda runs: runs["lr"].between(0.004, 0.0079)),
        ("β1=0.95", lambda runs: runs["beta1"] == 0.95),
        ("method=adam seed>100", lambda runs: (runs["method"] == "adam") & (runs["seed"] > 100)),
        ("perplexity<21", lambda runs: runs["perplexity"] < 21),
        ("model.width=32 schedule.floor_lr>0.0005",
         lambda runs: runs["settings"].map(lambda each: each["schedule.floor_lr"]) > 0.0005),
        ("nothing-is-called-so", lambda runs: runs["method"] == ""),
    ],
)  # fmt: skip
def test_a_search_keeps_the_right_runs(shown: Page, runs, words, kept):
    expected = runs[kept(runs).fillna(False).astype(bool)]
    assert search(shown, words) == len(expected)
    names = shown.locator("#run-list .run-name").all_inner_texts()
    assert set(names) <= set(expected["run"])
    assert len(names) == min(len(expected), len(names))
    assert bool(names) == bool(len(expected))


def test_choices_narrow_the_list_and_heads_sort_it(shown: Page, runs):
    shown.locator("#runs").get_by_label("State").select_option("diverged")
    assert listed(shown) == int(runs["diverged"].sum()) == 1
    shown.locator("#runs").get_by_label("State").select_option("")
    shown.locator("#runs").get_by_label("Method").select_option("signum")
    assert listed(shown) == int((runs["method"] == "signum").sum())
    shown.get_by_role("button", name="lr", exact=True).click()
    shown.get_by_role("button", name="lr", exact=True).click()
    first = shown.locator("#run-list .list-rows [role=row]").first.inner_text()
    assert "0.008" in first
    head = shown.locator("[role=columnheader][data-name=lr]")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_run_opened_shows_its_spec_its_curve_and_its_end(shown: Page, runs):
    run = runs[runs["diverged"]].iloc[0]
    assert search(shown, str(run["run"])) == 1
    shown.locator(".run-name").first.click()
    dialog = shown.locator("#opened")
    assert dialog.locator("#opened-title").inner_text() == run["run"]
    assert dialog.locator(".opened-head .badge").inner_text() == "diverged"
    rows = dialog.get_by_role("region", name="settings").locator("tbody tr").all_inner_texts()
    said = dict(row.split("\t") for row in rows)
    assert set(said) == set(run["settings"])
    assert float(said["optimizer.lr"]) == 0.008
    assert float(said["model.width"]) == 32
    assert dialog.locator("path.curve").count() == 0  # its losses were not finite
    assert shown.evaluate("location.hash") == f"#run={run['run']}"
    dialog.get_by_role("button", name="Close the run").click()
    assert not dialog.is_visible()


def test_a_link_to_a_run_opens_it(page: Page, runs, folder):
    run = runs.loc[runs["loss"].idxmin(), "run"]
    page.goto(f"{(folder / 'duel.html').as_uri()}#run={run}")
    page.wait_for_selector("html[data-ready=yes]")
    assert page.locator("#opened-title").inner_text() == run
    assert page.locator("#opened path.curve").count() == 2


@pytest.fixture(scope="module")
def attacked(folder) -> Path:
    """The page of a store, and of extras, whose names are all hostile."""
    section = Section(
        key="extra",
        title=HOSTILE[0],
        blocks=(
            Paragraph(HOSTILE[1]),
            Details(HOSTILE[2], (Verdict(badge=HOSTILE[0], tone="good", heading=HOSTILE[1],
                                         sentence=HOSTILE[2], details=HOSTILE),)),
            Grid(key="extra", columns=(Column(HOSTILE[0]),), rows=((HOSTILE[1],),),
                 caption=HOSTILE[2]),
        ),
    )  # fmt: skip
    given = Extras(title=HOSTILE[1], claims=[CLAIM], sections=[section])
    write_report(hostile(folder / "hostile"), folder / "hostile.html", extras=given)
    return folder / "hostile.html"


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


def test_the_failure_of_a_run_is_told(page: Page, attacked):
    opened(page, attacked)
    assert search(page, "failed") == 1
    page.locator(".run-name").click()
    said = page.locator("#opened").inner_text()
    assert HOSTILE[1] in said  # the reason
    assert HOSTILE[0] in said  # the platform of its environment
    assert "It has no training curve" in said


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


def test_only_the_rows_in_sight_are_in_the_page(page: Page, folder):
    """A long list scrolls to its end, where its worst run is."""
    store = Store(folder / "many", create=True)
    for number in range(MANY):
        stored(store, beta=0.9, lr=1e-4 * (number + 1), loss=3 + number / 1000, steps=2)
    write_report(store, folder / "many.html")
    opened(page, folder / "many.html")
    assert listed(page) == MANY
    assert page.locator(".run-name").count() < 60
    rows = page.locator(".list-rows")
    rows.evaluate("each => each.scrollTo(0, each.scrollHeight)")
    worst = load(store).sort_values("perplexity")["run"].iloc[-1]
    expect(page.locator(".run-name").last).to_have_text(worst)
    assert page.locator(".run-name").count() < 60


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
