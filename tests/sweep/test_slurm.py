"""Slurm's executor with commands that answer as told; ``test_slurm_cluster`` has the real ones."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("submitit")

from oracles.fake_slurm import FakeSlurm

from descentlab.config import build
from descentlab.errors import ConfigError
from descentlab.sweep.executors import slurm as module
from descentlab.sweep.executors.base import Job, Task
from descentlab.sweep.executors.slurm import SlurmExecutor, SlurmOptions
from descentlab.sweep.executors.slurm_queue import HEADER, parse
from descentlab.sweep.resources import Resources

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return FakeSlurm(folder)


def executor(tmp_path: Path, pace: float = 0.02, **arguments) -> SlurmExecutor:
    return SlurmExecutor(tmp_path / "store" / "jobs", pace=pace, **arguments)


TASK = Task("oracles.toy_runs:leave", ("0",))


def submitted(this: SlurmExecutor, count: int) -> list[Job]:
    jobs = [this.submit(TASK) for _ in range(count)]
    this.wait(0)
    return jobs


def waited(this: SlurmExecutor, seconds: float = 0.3) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        this.wait(0.02)


def hand_back(tmp_path: Path, key: str, code: int) -> None:
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    module.Handover(folder).end(key, code)


def test_the_script_is_the_recorded_one(slurm, tmp_path):
    options = build(
        SlurmOptions,
        {
            "partition": "gpu",
            "account": "physics",
            "time": 30,
            "constraint": "a100|h100",
            "runs_per_job": 8,
            "sbatch": {"reservation": "ours", "exclusive": True, "nice": 100},
        },
        where="here",
    )
    resources = Resources(cores=2, gpus=0.25, memory=8)
    submitted(executor(tmp_path, options=options, resources=resources), 24)
    script = slurm.script.replace(str(tmp_path), "/shared").replace(sys.executable, "python")
    script = re.sub(r"descent-[0-9a-f]{8}", "descent-0123abcd", script)
    assert script == (GOLDEN / "slurm-array.sh").read_text()


@pytest.mark.parametrize(
    ("runs", "per_job", "array"), [(6, 1, "0-5%6"), (6, 4, "0-0%1"), (8, 4, "0-1%2")]
)
def test_what_is_submitted_between_two_waits_is_one_array(slurm, tmp_path, runs, per_job, array):
    options = SlurmOptions(runs_per_job=per_job)
    submitted(executor(tmp_path, options=options), runs)
    assert len(slurm.told("sbatch")) == 1
    if array == "0-0%1":
        assert "--array" not in slurm.script
    else:
        assert f"--array={array}" in slurm.script


def test_a_bundle_that_does_not_fill_is_sent_after_a_while(slurm, tmp_path, monkeypatch):
    this = executor(tmp_path, options=SlurmOptions(runs_per_job=4))
    submitted(this, 3)
    assert slurm.told("sbatch") == []
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    this.wait(0)
    assert len(slurm.told("sbatch")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\n",
        HEADER,  # cut off before the end of its line
        "slurm_load_jobs error: Unable to contact slurm controller\n",
        "JOBID|STATE\n7|COMPLETED\n",
        f"{HEADER}\n7_0|{{name}}|\n",
        f"{HEADER}\n7_0|{{name}}|COMPLE",
        f"{HEADER}\n???|{{name}}|FAILED\n",
        f"{HEADER}\n7_0|{{name}}|QUANTUM_FLUX\n7_1|{{name}}|RUNNING\n",
        f"{HEADER}\n7_0|{{name}}|PENDING\n7_1|{{name}}|REQUEUED\n",
    ],
)
def test_a_job_lives_whatever_slurm_says_short_of_its_end(slurm, tmp_path, answer):
    this = executor(tmp_path)
    jobs = submitted(this, 2)
    slurm.tell("squeue", answer.format(name=slurm.name))
    waited(this)
    assert [job.exit_code() for job in jobs] == [None, None]
    assert len(slurm.told("sbatch")) == 1
    hand_back(tmp_path, "1-0.0", 0)
    hand_back(tmp_path, "1-1.0", 75)
    this.wait(0)
    assert [job.exit_code() for job in jobs] == [0, 75]


def test_a_job_lives_while_slurm_is_away(slurm, tmp_path):
    this = executor(tmp_path)
    jobs = submitted(this, 1)
    slurm.tell("squeue", f"{HEADER}\n", code=1)
    waited(this)
    (slurm.folder / "squeue").unlink()
    waited(this)
    assert jobs[0].exit_code() is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7_0|{name}|NODE_FAIL", r"Slurm's job 7_0 ended as NODE_FAIL before the run began"),
        ("7_0|{name}|COMPLETED", r"Slurm's job 7_0 ended as COMPLETED before"),
        ("8|another|RUNNING", r"Slurm's job 7_0 is no longer there"),
    ],
)
def test_a_job_that_is_gone_without_a_word_is_lost(slurm, tmp_path, line, said):
    this = executor(tmp_path)
    lost, living = submitted(this, 2)
    slurm.lists(line.format(name=slurm.name), f"7_1|{slurm.name}|RUNNING")
    waited(this)
    assert lost.exit_code() == -9
    assert re.match(said, lost.lost() or "")
    assert living.exit_code() is None


@pytest.mark.parametrize("order", [1, -1])
def test_an_array_that_was_partly_cancelled_in_the_queue_lives_on(slurm, tmp_path, order):
    this = executor(tmp_path)
    jobs = submitted(this, 3)
    jobs[2].stop()
    lines = [f"7_0|{slurm.name}|RUNNING", f"7_1|{slurm.name}|PENDING", f"7|{slurm.name}|CANCELLED"]
    slurm.lists(*lines[::order])  # Slurm names those that it cancelled no more
    waited(this)
    assert [job.exit_code() for job in jobs] == [None, None, 75]
    jobs[0].kill()
    assert slurm.told("scancel") == ["--state=PENDING 7_2", "7_0"]


def test_a_code_that_comes_late_counts_more_than_the_end_of_the_job(slurm, tmp_path):
    this = executor(tmp_path, pace=0.2)
    (job,) = submitted(this, 1)
    slurm.lists(f"7|{slurm.name}|COMPLETED")
    waited(this, 0.25)
    assert job.exit_code() is None
    hand_back(tmp_path, "1-0.0", 0)
    waited(this, 0.5)
    assert job.exit_code() == 0
    assert job.lost() is None


def test_jobs_that_were_accepted_with_an_answer_nobody_can_read_are_not_sent_again(slurm, tmp_path):
    slurm.tell("sbatch", "\x00 welcome to the cluster")
    this = executor(tmp_path)
    jobs = submitted(this, 2)
    slurm.lists(f"9_0|{slurm.name}|RUNNING", f"9_1|{slurm.name}|RUNNING")
    waited(this)
    assert [job.exit_code() for job in jobs] == [None, None]
    assert len(slurm.told("sbatch")) == 1
    jobs[0].kill()
    assert slurm.told("scancel") == ["9_0"]


def test_slurm_that_refuses_the_first_job_is_the_users_to_mend(slurm, tmp_path, capfd):
    slurm.tell("sbatch", "sbatch: error: invalid partition specified: gpuu", code=1)
    this = executor(tmp_path)
    with pytest.raises(ConfigError, match=r"saying: invalid partition specified: gpuu$"):
        submitted(this, 1)
    assert capfd.readouterr().err == ""


def test_a_cluster_without_gpus_is_told_from_other_refusals(slurm, tmp_path):
    slurm.tell("sbatch", "sbatch: error: Invalid generic resource (gres) specification", code=1)
    this = executor(tmp_path, resources=Resources(gpus=0.5))
    said = r"\(gres\) specification; --gpus 0.5 asks for 1 GPUs of a node$"
    with pytest.raises(ConfigError, match=said):
        submitted(this, 2)


def test_a_gpu_that_two_runs_share_is_one_job_of_both(slurm, tmp_path):
    submitted(executor(tmp_path, resources=Resources(gpus=0.5)), 4)
    for line in ("array=0-1%2", "gpus-per-node=1", "ntasks-per-node=2"):
        assert f"#SBATCH --{line}\n" in slurm.script


def test_slurm_that_refuses_a_later_job_is_asked_again(slurm, tmp_path, monkeypatch):
    this = executor(tmp_path)
    submitted(this, 1)
    slurm.tell("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit", code=1)
    (job,) = submitted(this, 1)
    waited(this, 0.1)
    assert len(slurm.told("sbatch")) == 2  # not at every wait
    slurm.tell("sbatch", "Submitted batch job 8")
    this._submit_after = 0.0
    this.wait(0)
    slurm.lists(f"7|{slurm.name}|RUNNING", f"8|{slurm.name}|RUNNING")
    waited(this, 0.1)
    assert job.exit_code() is None
    assert len(slurm.told("sbatch")) == 3


def test_stopping_takes_what_has_not_begun_out_of_the_queue(slurm, tmp_path):
    this = executor(tmp_path)
    pending, running = submitted(this, 2)
    unsent = this.submit(TASK)
    for job in (pending, running, unsent):
        job.stop()
    assert unsent.exit_code() == 75
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    assert module.Handover(folder).begin("1-1.0")
    slurm.lists(f"7_0|{slurm.name}|CANCELLED", f"7_1|{slurm.name}|RUNNING")
    waited(this)
    assert slurm.told("scancel") == ["--state=PENDING 7_0", "--state=PENDING 7_1"]
    assert (pending.exit_code(), running.exit_code()) == (75, None)
    assert pending.lost() is None


def test_nothing_is_left_behind_of_tasks_that_have_ended(slurm, tmp_path):
    this = executor(tmp_path)
    submitted(this, 2)
    hand_back(tmp_path, "1-0.0", 0)
    hand_back(tmp_path, "1-1.0", 1)
    waited(this, 0.1)
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    kinds = ("tasks", "begun", "asked", "codes", "unfinished")
    assert [list((folder / kind).iterdir()) for kind in kinds] == [[]] * 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partitoin": "gpu"}, r"--slurm: partitoin: unknown setting; did you mean partition"),
        ({"time": 0}, r"--slurm: time: Expected"),
        ({"sbatch": {"array": "0-9"}}, r"sbatch: array cannot be set so"),
        ({"sbatch": {"job_name": "x"}}, r"sbatch: job_name cannot be set so"),
        ({"sbatch": {"requeue": True}}, r"sbatch: requeue cannot be set so"),
        ({"sbatch": {"partition": "x"}}, r"did you mean partition\?.* by --slurm name=value"),
    ],
)
def test_options_that_are_not_allowed_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(SlurmOptions, settings, where="--slurm")


def test_without_slurm_there_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no Slurm here, as sbatch is not in the PATH"):
        executor(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_cut_of_a_listing_is_taken_for_a_listing_of_less():
    whole = f"{HEADER}\n7_0|descent-a|RUNNING\n7_1|descent-a|COMPLETED\n"
    full = parse(whole)
    assert full is not None
    for end in range(len(whole)):
        cut = parse(whole[:end])
        assert cut is None or whole[:end].endswith("\n")
