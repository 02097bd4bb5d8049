"""How long a report takes to build and to open, and how large it is.

    python benchmarks/report.py STORE [--rounds 3]

Builds the report by the command, so start-up and the claims' verdicts count. Then opens the page in
Chromium, a new one each time: until the document is parsed, until the page can be used, until the
first chart stands; and how long the list of runs takes to filter and to redraw after a scroll.
DESCENTLAB_CHROMIUM names the browser if it is not found.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

READY = """
new Promise((told) => {
  const now = () => document.documentElement.dataset.ready
    ? told(performance.now()) : requestAnimationFrame(now);
  now();
})
"""
PARSED = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
CHART = """
new Promise((told) => {
  const began = performance.now();
  document.querySelector("figure[data-chart]").scrollIntoView();
  const now = () => document.querySelector("figure[data-chart] svg")
    ? told(performance.now() - began) : requestAnimationFrame(now);
  now();
})
"""
FILTERED = """
new Promise((told) => {
  const input = document.getElementById("search");
  const said = document.querySelector("#run-list [role=status]");
  const before = said.textContent;
  const began = performance.now();
  input.value = "adam lr>=0.004";
  input.dispatchEvent(new Event("input"));
  const now = () => said.textContent !== before
    ? told(performance.now() - began) : requestAnimationFrame(now);
  now();
})
"""
SCROLLED = """
new Promise((told) => {
  const rows = document.querySelector(".list-rows");
  const gaps = [];
  let last = performance.now();
  let frames = 0;
  const step = () => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    rows.scrollTop += 700;
    frames += 1;
    if (frames < 40) requestAnimationFrame(step);
    else told(Math.max(...gaps));
  };
  requestAnimationFrame(step);
})
"""


def built(store: Path, out: Path) -> tuple[float, float]:
    """Seconds of the wall clock and of processors that the command takes."""
    command = [sys.executable, "-m", "descentlab", "report", str(store), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def opened(playwright: Playwright, path: Path) -> dict[str, float]:
    """Milliseconds that a new browser takes for the page."""
    named = os.environ.get("DESCENTLAB_CHROMIUM") or shutil.which("chromium")
    browser = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri(), wait_until="commit")
    found = {
        "usable": page.evaluate(READY),
        "parsed": page.evaluate(PARSED),
        "first chart": page.evaluate(CHART),
        "filter": page.evaluate(FILTERED),
        "longest frame in a scroll": page.evaluate(SCROLLED),
    }
    browser.close()
    return found


def main() -> None:
    """Build, open, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(folder) / "report.html"
        builds = [built(given.store, out) for _ in range(given.rounds)]
        wall, used = (statistics.median(each) for each in zip(*builds, strict=True))
        print(f"built in {wall:.1f} s, {used:.1f} s of processors (median of {given.rounds})")
        print(f"size {out.stat().st_size / 1e6:.2f} MB")
        times = [opened(playwright, out) for _ in range(given.rounds)]
        for name in times[0]:
            print(f"{name}: {statistics.median(each[name] for each in times):.0f} ms")


if __name__ == "__main__":
    main()
