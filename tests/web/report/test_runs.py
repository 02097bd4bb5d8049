"""The list of a report's runs in a real browser: searched, sorted, and a run opened."""

from __future__ import annotations

import pytest
from oracles.report_reader import listed, opened, search
from oracles.reported_stores import HOSTILE
from oracles.stored_runs import stored
from playwright.sync_api import Page, expect

from descentlab.analysis import load
from descentlab.runs.store import Store
from descentlab.web.report import write_report

MANY = 90


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


def test_the_failure_of_a_run_is_told(page: Page, attacked):
    opened(page, attacked)
    assert search(page, "failed") == 1
    page.locator(".run-name").click()
    said = page.locator("#opened").inner_text()
    assert HOSTILE[1] in said  # the reason
    assert HOSTILE[0] in said  # the platform of its environment
    assert "It has no training curve" in said


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
