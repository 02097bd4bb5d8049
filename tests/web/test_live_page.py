"""The live view in a browser, while runs that this process writes go on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oracles.growing_runs import GrowingRun, loss_after, made_up_run
from playwright.sync_api import Browser, Page, expect

from descentlab.runs.races import Decision, RaceRecord
from descentlab.runs.records import encode_record
from descentlab.runs.store import Store

HOSTILE = '</script><img src=x onerror="hacked=1">\u202egnp.exe'
IS_BLANK = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(data.buffer).every(each => !each);
}"""
Serve = Callable[..., "Served"]


class Served:
    """A server of its own process."""

    def __init__(self, store: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "descentlab", "serve", str(store), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.process.stdout.readline())
        assert found is not None
        self.url, self.port = found.group(), int(found.group(1))

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(10)
        with self.process:
            return code


@pytest.fixture
def serve() -> Iterator[Serve]:
    served: list[Served] = []

    def start(store: Store, port: int = 0) -> Served:
        served.append(Served(store.root, port))
        return served[-1]

    yield start
    for each in served:
        each.process.kill()
        with each.process:
            pass


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", create=True)


def test_the_page_changes_as_runs_go_on_without_a_reload(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25))
    store.register_study("my study", {"runs": [run.run_id]})
    run.begin()
    run.train(4)
    page.goto(serve(store).url)
    card = page.locator(f".run[data-run='{run.run_id}']")
    expect(card).to_contain_text(f"{loss_after(4):.4f} step 4 of 20")
    expect(card).to_contain_text("64 tokens/s · 8 s left")
    expect(page.locator(".group")).to_contain_text("my study")
    expect(page.locator(".group")).to_contain_text("20% of all training, 1 run")
    page.evaluate("window.same = true")
    before = page.evaluate("document.getElementById('chart').toDataURL()")
    run.train(4)
    expect(card).to_contain_text(f"{loss_after(8):.4f} step 8 of 20")
    page.wait_for_function(
        "before => document.getElementById('chart').toDataURL() !== before", arg=before
    )
    new = GrowingRun(store, made_up_run(0.5))
    new.begin()
    expect(page.locator(".run")).to_have_count(2)
    new.train(3)
    new.end("failed", "ValueError: it broke", log="Traceback\nValueError: it broke")
    run.finish(3.25)
    expect(page.locator(".run")).to_have_count(0)
    expect(page.locator(".group").first).to_contain_text("3.2500 nats, perplexity 25.79")
    failures = page.locator("#failures")
    expect(failures).to_contain_text("ValueError: it broke")
    failures.get_by_text("End of its log").click()
    expect(failures.locator("pre")).to_contain_text("Traceback")
    assert page.evaluate("window.same") is True


def test_hover_tells_run_step_and_loss(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25))
    run.begin()
    run.train(20)
    page.goto(serve(store).url)
    expect(page.locator("#legend li")).to_have_count(1)
    page.locator("#smoothing").fill("0")
    chart = page.locator("#chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    # The losses fall on a line: where its middle is, step 10 is.
    x = box["x"] + 46 + (box["width"] - 58) / 2
    for y in range(int(box["y"]) + 20, int(box["y"] + box["height"]) - 40, 10):
        page.mouse.move(x, y)
        if page.locator("#hover").is_visible():
            break
    expect(page.locator("#hover")).to_contain_text("adam lr=0.25 beta=0.9 seed=0")
    expect(page.locator("#hover")).to_contain_text(f"step 10, loss {loss_after(10):.4f}")
    page.locator("#log-x").click()
    expect(page.locator("#log-x")).to_have_attribute("aria-pressed", "true")
    page.mouse.move(box["x"], box["y"] - 30)
    expect(page.locator("#hover")).to_be_hidden()


def test_of_many_runs_those_in_sight_exist_and_a_filter_finds_any(store, serve, page: Page):
    for seed in range(300):
        store.register(made_up_run(0.25 if seed % 2 else 0.5, seed=seed))
    page.goto(serve(store).url)
    expect(page.locator("#shown-count")).to_have_text("300")
    assert page.locator("#lines .line").count() < 60
    first = page.locator("#lines .line").first.inner_text()
    page.locator("#window").evaluate("window => { window.scrollTop = window.scrollHeight }")
    expect(page.get_by_text(first, exact=True)).to_have_count(0)
    page.locator("#filter").fill("LR=0.25 seed=299")
    expect(page.locator("#shown-count")).to_have_text("1 of 300")
    expect(page.locator("#lines .line")).to_have_count(1)
    expect(page.locator("#lines .line")).to_contain_text("adam lr=0.25 beta=0.9 seed=299")
    page.locator("#filter").fill("")
    page.locator("#by-state").select_option("pending")
    expect(page.locator("#shown-count")).to_have_text("300")
    page.locator("#head").get_by_text("Run", exact=True).click()
    expect(page.locator("#head .label")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#lines .line[aria-rowindex='1']")).to_contain_text(
        "lr=0.25 beta=0.9 seed=1"
    )


def test_a_run_opened_shows_spec_attempts_curve_and_log(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25))
    run.begin()
    run.train(3)
    run.end("failed", "ValueError: it broke", log="first line\nlast line")
    served = serve(store)
    page.goto(f"{served.url}#{run.run_id}")
    opened = page.locator("#opened")
    expect(opened).to_be_visible()
    expect(opened.locator("h2")).to_have_text("adam lr=0.25 beta=0.9 seed=0")
    for said in ("Attempt 1", "failed: ValueError: it broke", "last line", "optimizer.lr", "0.25"):
        expect(opened).to_contain_text(said)
    assert page.locator(".opened-chart").evaluate(IS_BLANK) is False
    page.get_by_role("button", name="Close").click()
    expect(opened).to_be_hidden()
    page.locator("#lines").get_by_text("adam lr=0.25").click()
    expect(opened).to_be_visible()
    assert page.url.endswith(f"#{run.run_id}")


def test_decisions_of_a_race_appear_with_their_numbers(store, serve, page: Page):
    runs = [GrowingRun(store, made_up_run(lr)) for lr in (0.25, 0.5)]
    for run in runs:
        run.begin()
        run.train(5)
        run.end("interrupted", "paused after step 5 of 20, state saved")
    page.goto(serve(store).url)
    expect(page.locator("#lines .line")).to_have_count(2)
    expect(page.locator("#racing")).to_be_hidden()
    decisions = [
        Decision(
            fraction=0.25,
            cell=run.run_id,
            verdict=verdict,
            rule="halving",
            score=score,
            threshold=4.5,
        )
        for run, verdict, score in zip(runs, ("kept", "paused"), (4.5, 4.75), strict=True)
    ]
    record = RaceRecord(
        scheduler="racing", decisions={"adam": decisions}, times={"adam": [1.7e9] * 2}
    )
    store.races.note("my study", record)
    racing = page.locator("#racing")
    expect(racing).to_contain_text("adam")
    expect(racing).to_contain_text("at 25% of training, halving: 1 of 2 stopped")
    racing.locator("summary").click()
    expect(racing).to_contain_text("adam lr=0.5 beta=0.9 seed=0 4.7500, 4.5000 goes on")
    expect(page.locator("#lines .badge.stopped")).to_have_count(1)


def test_hostile_names_and_logs_are_only_text(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25, method=HOSTILE, init=HOSTILE))
    other = GrowingRun(store, made_up_run(0.5, method=HOSTILE * 9))
    content = {"experiment": HOSTILE, "runs": [run.run_id, other.run_id]}
    store.register_study("study", content)
    run.begin()
    run.train(2)
    run.end("failed", HOSTILE, log=HOSTILE + "\x00\x1b[31m")
    other.begin()
    other.train(2)
    page.goto(serve(store).url)
    expect(page.locator("#failures")).to_contain_text(HOSTILE)
    expect(page.locator(".group")).to_contain_text(HOSTILE)
    page.get_by_text("End of its log").click()
    expect(page.locator("#failures pre")).to_contain_text(HOSTILE)
    page.locator(f"#lines .line[data-run='{run.run_id}'] button").click()
    expect(page.locator("#opened")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_torn_record_and_a_damaged_run_do_not_stop_the_page(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25))
    attempt = run.begin()
    run.train(4)
    damaged = GrowingRun(store, made_up_run(0.5))
    store.folder(damaged.run_id).spec.write_bytes(b'{"run_id":')
    (store.studies / "broken.json").write_bytes(b"\xff")
    record = encode_record({"step": 5, "loss": 2.5})
    with attempt.metrics.open("ab", buffering=0) as file:
        file.write(record[:9])
        page.goto(serve(store).url)
        card = page.locator(".run")
        expect(card).to_contain_text("step 4 of 20")
        expect(page.locator("#failures")).to_contain_text("spec.json: damaged")
        expect(page.locator("#problems")).to_contain_text("broken.json: damaged")
        file.write(record[9:])
    expect(card).to_contain_text("2.5000 step 5 of 20")


def test_a_lost_connection_is_told_and_found_again(store, serve, browser: Browser):
    page = browser.new_page()  # of its own: a browser complains about refused connections
    run = GrowingRun(store, made_up_run(0.25))
    run.begin()
    run.train(4)
    served = serve(store)
    page.goto(served.url)
    expect(page.locator("#connection")).to_have_text("live")
    assert served.stop() == 0
    expect(page.locator("#connection")).to_have_text("connection lost, trying again")
    run.train(4)
    serve(store, served.port)
    expect(page.locator("#connection")).to_have_text("live", timeout=10_000)
    expect(page.locator(".run")).to_contain_text("step 8 of 20")
    page.close()


def test_dark_light_and_a_phone(store, serve, page: Page):
    run = GrowingRun(store, made_up_run(0.25, method="a" * 80))
    run.begin()
    run.train(4)
    page.set_viewport_size({"width": 360, "height": 700})
    page.emulate_media(color_scheme="dark")
    page.goto(serve(store).url)
    expect(page.locator(".run")).to_have_count(1)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#theme").click()
    expect(page.locator("#theme")).to_have_text("◐ light")
    assert page.evaluate(paper) != dark
    page.reload()
    expect(page.locator("#theme")).to_have_text("◐ light")
