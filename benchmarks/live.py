"""What the live view costs with 1,500 runs: to the reader of the store, and to the browser.

    python benchmarks/live.py [--runs 1500] [--points 500] [--seconds 20]

A store is written as trainers write it, without training: ten runs in a hundred stand still, one in
a hundred is under way, the others have their results. The reader's first look and its looks after
one run went on are timed in this process. Then ``descent serve`` shows the store in a headless
Chromium while all running runs make five steps a second, the table is scrolled and the pointer
moves over the chart; the browser tells its longest task and the longest time between two frames.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles.growing_runs import (  # pyright: ignore[reportMissingImports] # in tests/, which is not installed
    GrowingRun,
    made_up_run,
)

from descentlab.runs.store import Store
from descentlab.web.live.live_store import LiveStore

METHODS = ("adam", "signum", "rmsprop", "emasign", "sgd")
WATCH = """() => {
  window.longest = { task: 0, frame: 0, tasks: 0 };
  new PerformanceObserver(list => {
    for (const each of list.getEntries()) {
      longest.task = Math.max(longest.task, each.duration);
      longest.tasks += 1;
    }
  }).observe({ type: "longtask" });
  let last = performance.now();
  const frame = now => {
    longest.frame = Math.max(longest.frame, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def written(store: Store, runs: int, points: int) -> list[GrowingRun]:
    """Fill a store, and return the runs that are under way."""
    asked = [
        GrowingRun(
            store, made_up_run(2.0**-seed, method=METHODS[seed % 5], seed=seed, steps=points)
        )
        for seed in range(runs)
    ]
    store.register_study("many", {"runs": [each.run_id for each in asked]})
    under_way = []
    for place, run in enumerate(asked):
        run.begin()
        if place % 100 == 0:
            run.train(points // 4)
            under_way.append(run)
        elif place % 10 == 0:
            run.train(points // 4)
            run.end("interrupted", f"paused after step {points // 4} of {points}, state saved")
        else:
            run.finish(3.0 + place / runs)
    return under_way


def memory(pid: int) -> float:
    """Megabytes that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1e3 if found else 0.0


def processor_seconds(pid: int) -> float:
    """That a process has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / 100


def reader(store: Store, under_way: list[GrowingRun]) -> None:
    """Time looks at the store in this process."""
    live = LiveStore(store)
    began = time.perf_counter()
    live.look()
    whole = msgspec.json.encode(live.whole())
    first = time.perf_counter() - began
    print(f"first look and whole view: {first:.2f} s, {len(whole) / 1e3:,.0f} kB")
    live.look()
    spent = {"one run went on": [], "nothing changed": []}
    for _ in range(20):
        for name, seconds in spent.items():
            if name == "one run went on":
                under_way[0].train()
            began = time.process_time()
            told = live.look()
            msgspec.json.encode(told)
            seconds.append(1e3 * (time.process_time() - began))
    for name, found in spent.items():
        print(
            f"a look, {name}: median {statistics.median(found):.1f} ms of processor, "
            f"at most {max(found):.1f}"
        )


def browser(store: Store, under_way: list[GrowingRun], seconds: float, chromium: str) -> None:
    """Time the page while runs go on."""
    command = [sys.executable, "-m", "descentlab", "serve", str(store.root), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r"http\S+", server.stdout.readline())
    assert found is not None
    try:
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = opened.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(f"({WATCH})()")
            began = time.perf_counter()
            page.goto(found.group())
            page.wait_for_selector("#lines .line")
            print(f"first load, server's first look included: {time.perf_counter() - began:.2f} s")
            page.wait_for_timeout(2000)
            print("while it loads:", page.evaluate("window.longest"))
            page.evaluate("Object.assign(window.longest, { task: 0, frame: 0, tasks: 0 })")
            used = processor_seconds(server.pid)
            used_for(page, under_way, seconds)
            used = processor_seconds(server.pid) - used
            print(f"while {len(under_way)} runs go on:", page.evaluate("window.longest"))
            print(f"server: {used / seconds:.1%} of a core, {memory(server.pid):.0f} MB")
            opened.close()
    finally:
        server.kill()
        server.wait()


def used_for(page: Page, under_way: list[GrowingRun], seconds: float) -> None:
    """Let runs go on while somebody scrolls and points."""
    box = page.locator("#chart").bounding_box()
    assert box is not None
    ends, turn = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        turn += 1
        for run in under_way:
            run.train()
        page.mouse.move(box["x"] + 60 + 40 * (turn % 20), box["y"] + box["height"] / 2)
        page.locator("#window").evaluate("window => window.scrollBy(0, 400)")
        page.wait_for_timeout(200)


def main() -> None:
    """Write the store, and time both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1500)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("needs chromium or google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store", create=True)
        under_way = written(store, arguments.runs, arguments.points)
        print(f"{arguments.runs:,} runs of {arguments.points} steps, {len(under_way)} under way")
        reader(store, under_way)
        browser(store, under_way, arguments.seconds, chromium)


if __name__ == "__main__":
    main()
