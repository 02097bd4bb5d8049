"""Every table, figure and experiment of the paper at the smallest scale, and a second time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from descentlab.paper.computed import COMPUTED
from descentlab.paper.exhibits import EXHIBITS
from descentlab.paper.experiments import EXPERIMENTS
from descentlab.runs.store import Store

RUN = "from descentlab.cli.main import run; run()"


def reproduce(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "reproduce", name, "--scale", "tiny"]
    command += ["--store", str(folder / "store"), "--out", str(folder / name)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stem(name: str) -> str:
    return f"fig{int(name[3:]):02}" if name.startswith("fig") else name


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_all_at_the_smallest_scale(tmp_path):
    done = reproduce(tmp_path, "all")
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "all" / "index.md").read_text()
    assert index in done.stdout
    for experiment in EXPERIMENTS:
        assert re.search(rf"^\| {experiment.key} .*{experiment.title}", index, re.MULTILINE)
    assert "failed" not in index
    for each in (*EXHIBITS, *COMPUTED):
        suffix = "md" if each.name.startswith("table") else "png"
        found = tmp_path / "all" / f"{stem(each.name)}.{suffix}"
        if each.name == "table1":
            found = tmp_path / "all" / "table1" / "table1.md"
        assert found.stat().st_size > 100, each.name
    before = set(Store(tmp_path / "store").run_ids())
    again = reproduce(tmp_path, "fig3")
    assert again.returncode == 0, again.stderr
    assert set(Store(tmp_path / "store").run_ids()) == before
    first, second = ((tmp_path / name / "fig03.csv").read_bytes() for name in ("all", "fig3"))
    assert first == second
