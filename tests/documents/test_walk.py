"""The ten-minute start, walked as its reader would, but at the scale of seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from oracles.code_blocks import FILE, ROOT, commands, of

SMALLER = {"laptop": "tiny"}
MINUTES = ["reproduce", "table1"]
"""The command that the page gives twice, first at scale tiny."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_ten_minute_start_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    page = ROOT / "docs" / "start.md"
    walked = []
    for block in of(page, "python", "sh"):
        if block.mark == FILE:
            Path(str(block.says)).write_text(block.text)
        for words in commands(block) if block.language == "sh" else ():
            if words != MINUTES:
                words = [SMALLER.get(word, word) for word in words]
                descent(*words)
                walked.append(words[0])
    steps = ["--version", "train", "train", "runs", "reproduce", "check-optimizer", "compare"]
    assert walked == [*steps, "report"]
    assert Path("report.html").stat().st_size > 10_000


def descent(*words: str) -> None:
    """Run a command in a process of its own, as a shell does."""
    paths = filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "descentlab", *words], env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, f"descent {' '.join(words)}: {done.stdout}{done.stderr}"
