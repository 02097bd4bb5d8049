"""The charts of a report in a real browser: by pointer, finger and keys."""

from __future__ import annotations

import math
import re

import pytest
from oracles.report_reader import chart
from oracles.reported_stores import BETAS, adam_loss
from playwright.sync_api import Browser, Page

from descentlab.analysis import load_curves


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
