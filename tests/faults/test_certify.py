"""``descent certify``: it says exact where it is, and names the part where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.laboratory import folder_of
from faults.trials import as_toml

from descentlab.errors import ConfigError
from descentlab.train import certify
from descentlab.train.certify import Certificate

COMMAND = "from descentlab.cli.main import run; run()"
BUGGED = """
import sys
sys.path.insert(0, {tests!r})
from faults import bugs
bugs.{bug}()
"""
EVERYTHING = {
    "weights",
    "optimizer state",
    "shadow optimizers",
    "generators",
    "other state",
    "batches of 4 steps",
    "metrics.jsonl",
    "probes.jsonl",
}
TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def spec(plan, tmp_path):
    """Some seconds long, so that a kill finds it alive."""
    run = plan(training={"steps": 60}, execution={"checkpoint_every": 4})
    path = tmp_path / "spec.toml"
    path.write_text(as_toml(run.settings))
    return path


def certified(spec: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, "certify", str(spec), "--seed", "1", *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_a_run_that_resumes_exactly_gets_its_certificate(spec, tmp_path):
    out = tmp_path / "certificate.json"
    done = certified(spec, "--kills", "3", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "verdict: exact after 3 interruptions" in done.stdout
    written = json.loads(out.read_text())
    assert {each["way"] for each in written["blows"]} == set(certify.WAYS)
    assert all(each["resumed_after"] > 0 for each in written["blows"])
    assert all(each["difference"] is None for each in written["comparisons"])
    parts = {each["part"] for each in written["comparisons"]}
    assert {"weights", "optimizer state", "generators", "metrics.jsonl"} <= parts
    assert "batches of 60 steps" in parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "part"),
    [
        ("leaves_the_optimizer_state_out", "optimizer state"),
        ("is_one_batch_late", "batches of 60 steps"),
    ],
)
def test_a_run_that_does_not_is_told_in_what(spec, bug, part, monkeypatch, tmp_path, capfd):
    """The processes that train have the bug."""
    from descentlab.cli.main import main

    patch = BUGGED.format(tests=TESTS, bug=bug)
    monkeypatch.setattr(certify, "WORK", patch + certify.WORK)
    assert main(["certify", str(spec), "--seed", "1", "--kills", "2"]) == 8
    said = capfd.readouterr()
    assert "verdict: NOT exact after 2 interruptions" in said.out
    assert "resumed to other" in said.err
    assert part in said.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("bug", "wrong"),
    [
        (None, set()),
        ("leaves_the_optimizer_state_out", EVERYTHING - {"generators", "batches of 4 steps"}),
        ("leaves_the_shadows_out", {"shadow optimizers", "probes.jsonl"}),
        ("does_not_cut_the_records", {"batches of 4 steps", "metrics.jsonl"}),
    ],
)
def test_each_part_is_compared(laboratory, plan, bug, wrong):
    probes = {"every": 1, "shadows": [{"method": "signum", "lr": 0.01, "beta": 0.9}]}
    whole = laboratory.undisturbed(plan(probes=probes, execution={"checkpoint_every": 2}))
    root = laboratory.stopped(whole, 4)
    bugs = (f"faults.bugs:{bug}",) if bug else ()
    assert laboratory.start(whole.run, root, bugs=bugs).wait() == 0
    folders = [folder_of(each, whole.run) for each in (whole.root, root)]
    comparisons = certify._compare(*folders)
    assert {each.part for each in comparisons if each.difference} == wrong
    assert Certificate("run", 0, [], comparisons, {}).exact == (not wrong)


def test_a_run_that_is_over_at_once_gets_no_certificate(plan, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(certify._Trial, "finish", lambda self: given.append(self._run))
    monkeypatch.setattr(certify._Trial, "strike", lambda self, way, step: None)
    run = plan(execution={"resume": "restart"})
    with pytest.raises(ConfigError, match=r"kills: a run of \d+ steps was over before"):
        certify.certify(run, tmp_path, kills=1, seed=0)
    assert given[0].settings["execution"]["resume"] == "exact"  # or it would certify nothing


@pytest.mark.slow
def test_what_it_started_is_gone_with_it(spec):
    """Killed outright, it leaves no process behind that goes on training."""
    command = [sys.executable, "-c", COMMAND, "certify", str(spec), "training.steps=9000"]
    command += ["data.max_epochs=1000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()):
        assert process.poll() is None
    process.kill()
    process.wait()
    while os.path.exists(f"/proc/{found[0]}"):  # the suite's time-out ends it if it lives on
        pass
