from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from descentlab.cli import running
from descentlab.cli.main import main
from descentlab.runs.store import Store

SPEC = """
[model]
size = "tiny"
[data]
corpus = "{corpus}"
tokenizer = "byte"
sequence_length = 16
validation_fraction = 0.2
[optimizer]
method = "adam"
lr = 1e-2
beta = 0.9
[training]
steps = 5
batch_size = 4
[execution]
threads = 1
"""


@pytest.fixture(autouse=True)
def _isolated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def spec(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\f".join(f"Document {n} says {'abc' * 40}." for n in range(60)))
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(corpus=corpus).replace("[data]", '[data]\nseparator = "\\f"'))
    return path


@pytest.fixture
def study(spec):
    run = spec.read_text().replace("\n[", "\n[run.")
    path = spec.with_name("study.toml")
    path.write_text(f'name = "s"\n[axes]\nseed = [1, 2, 3]\n"optimizer.beta" = [0.8, 0.9]\n{run}')
    return path


def test_help_and_listing_load_nothing_heavy():
    heavy = "{'torch', 'pandas', 'scipy', 'altair', 'duckdb', 'tokenizers', 'numpy.random'}"
    code = (
        "import sys\nfrom descentlab.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', {heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: set()"
    assert all(word in done.stdout for word in ("reproduce", "train", "sweep", "runs", "show"))


def test_train_list_and_show_one_run(spec, capsys):
    assert main(["train", str(spec), "seed=3"]) == 0
    (run,) = Store(Path("store")).runs()
    trained = capsys.readouterr()
    assert trained.out.startswith(f"{run.run_id}  done, perplexity ")
    assert main(["runs", "store"]) == 0
    assert "adam lr=0.01 beta1=0.9 beta2=0.9 seed=3  done, perplexity" in capsys.readouterr().out
    assert main(["show", "store", run.run_id[:6]]) == 0
    shown = capsys.readouterr().out
    assert "optimizer.lr = 0.01" in shown
    assert "validation_perplexity" in shown
    speed = re.compile(
        r"[\d,]+ tokens/s, [\d.]+% of [\d,]+ GFLOP/s, [\d,]+ MB at most, [\d.]+ s to start"
    )
    assert speed.search(shown)
    assert speed.search(trained.err)


def test_a_run_that_cannot_be_compiled_says_so(spec, capsys, monkeypatch):
    monkeypatch.setenv("CXX", "nonsense++")
    assert main(["train", str(spec), "execution.compile=always"]) == 0
    (run,) = Store(Path("store")).runs()
    warning = "not compiled, so slower: no C++ compiler (nonsense++: No such file or directory)"
    assert capsys.readouterr().err.count(warning) == 1
    assert main(["show", "store", run.run_id]) == 0
    assert capsys.readouterr().out.count(warning) == 1


def test_a_run_that_is_written_differently_is_found_equal(spec, capsys):
    assert main(["train", str(spec), "optimizer.method=rmsprop"]) == 0
    first = capsys.readouterr()
    text = spec.read_text().replace("beta = 0.9", "beta1 = 0.0\nbeta2 = 0.90")
    spec.write_text(text)
    assert main(["train", str(spec)]) == 0
    second = capsys.readouterr()
    assert "has its result already" in second.err
    assert second.out == first.out


def test_divergence_is_a_result_and_no_error(spec, capsys):
    assert main(["train", str(spec), "optimizer.lr=1e12"]) == 0  # decay alone overflows
    assert "done (diverged at step " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["optimizer.methd=adam"], 2, "optimizer.methd: unknown setting; did you mean method?"),
        (["optimizer.method=adm"], 2, "no method is called 'adm'; did you mean adam?"),
        (["optimizer.lr=nan"], 2, "optimizer.lr: Expected float > 0.0"),
        (["optimizer.lr=inf"], 2, "optimizer.lr: Expected float <= 1000000000000.0"),
        (["optimizer.lr=0.0"], 2, "optimizer.lr: Expected float > 0.0"),
        (["optimizer.lr=fast"], 2, "optimizer.lr: Expected float, got str (given: 'fast')"),
        (["model.size=tinny"], 2, "no size is called 'tinny'; did you mean tiny?"),
        (["lr"], 2, "write settings as key=value"),
        (["data.corpus=missing.txt"], 3, "no such file"),
        (["training.steps=100000"], 3, "take fewer steps or more text or data.max_epochs="),
        (["model.vocabulary=100"], 3, "outside a model.vocabulary of 100"),
    ],
)
def test_bad_settings_end_in_one_sentence(spec, arguments, code, message, capsys):
    assert main(["train", str(spec), *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert error.rstrip().splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("2", "'2' without RANK, MASTER_ADDR, MASTER_PORT; unset it"),
        ("many", "'many' without RANK"),
        ("0", "'0' without RANK"),
    ],
)
def test_a_part_of_what_torchrun_sets_is_refused(size, said, spec, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", size)
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert main(["train", str(spec)]) == 2
    assert f"error: WORLD_SIZE: the environment has {said}" in capsys.readouterr().err
    assert not Path("store").exists()


def test_missing_files_and_stores_are_named(capsys):
    assert main(["train", "none.toml"]) == 2
    assert "none.toml" in capsys.readouterr().err
    assert main(["runs", "nowhere"]) == 2
    assert "nowhere: not a store" in capsys.readouterr().err


def test_a_misspelt_command_is_answered_with_the_right_one(capsys):
    assert main(["rnus", "store"]) == 2
    assert "no command is called 'rnus'; did you mean runs?" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_exit_code_4(spec, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert main(["train", str(spec), "--store", str(tmp_path / "file" / "store")]) == 4
    assert "choose a folder that you may write to" in capsys.readouterr().err


def test_a_sweep_trains_all_points_and_repeats_none(study, capsys):
    assert main(["sweep", str(study), "--workers", "0"]) == 0
    listing = capsys.readouterr().out.splitlines()
    assert len(listing) == 6
    assert all("done, perplexity" in line for line in listing)
    assert main(["sweep", str(study), "--workers", "0"]) == 0
    repeated = capsys.readouterr()
    assert repeated.out.splitlines() == listing
    assert "6/6 runs, 6 of them from before" in repeated.err


def test_a_worker_trains_what_a_study_registered(study, capsys):
    assert main(["sweep", str(study), "--register-only"]) == 0
    assert "6 runs of study s are registered in store" in capsys.readouterr().out
    states = {each.split()[-1] for each in listed(capsys)}
    assert states == {"pending"}
    assert main(["worker", "store", "--study", "s", "--runs", "2", "--workers", "0"]) == 0
    trained = capsys.readouterr()
    assert trained.out.count("done, perplexity") == 2
    assert "worker on store: 2/" in trained.err
    assert main(["worker", "store", "--workers", "0"]) == 0
    assert capsys.readouterr().out.count("done, perplexity") == 4
    assert all("done, perplexity" in each for each in listed(capsys))
    assert main(["worker", "store", "--workers", "0"]) == 0
    assert capsys.readouterr().out == ""


def listed(capsys) -> list[str]:
    assert main(["runs", "store"]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["worker", "nowhere"], "nowhere: not a store"),
        (["worker", "store"], "no runs are registered; descent sweep STUDY"),
        (["worker", "store", "--study", "s"], "study 's': not in store"),
        (["worker", "store", "--runs", "0"], "runs: got 0; take 1 or more"),
        (["worker", "store", "--retries", "-1"], "retries: got -1; 0 tries each run once"),
        (["sweep", "study.toml", "--retries", "-1"], "retries: got -1; 0 tries each run once"),
    ],
)
def test_what_a_worker_cannot_do_is_said(arguments, message, capsys):
    Store(Path("store"), create=True)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_earlier_attempts_are_shown_with_their_reasons(spec, capsys):
    assert main(["train", str(spec)]) == 0
    store = Store(Path("store"))
    (run,) = store.runs()
    folder = store.folder(run.run_id)
    folder.done.unlink()
    folder.attempt(1).end("failed", "hung: no step after step 3")
    store.claim(run.run_id).end("failed", "out of memory")
    capsys.readouterr()
    assert listed(capsys)[0].endswith("  failed (out of memory), attempt 2")
    assert main(["train", str(spec)]) == 0
    assert capsys.readouterr().out.endswith(" tokens, attempt 3\n")
    assert main(["show", "store", run.run_id]) == 0
    shown = capsys.readouterr().out
    assert "attempt 1: failed: hung: no step after step 3" in shown
    assert "attempt 2: failed: out of memory" in shown


def test_a_study_of_the_same_name_may_not_change(study, capsys):
    main(["sweep", str(study), "--workers", "0"])
    study.write_text(study.read_text().replace("[1, 2, 3]", "[1, 2]"))
    assert main(["sweep", str(study), "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert "lacks 2 of the 6 runs" in error
    assert "axes.seed was [1, 2, 3], is [1, 2]" in error


def test_a_study_that_changes_while_it_is_swept_is_finished_as_it_was_read(
    study, capsys, monkeypatch
):
    def driven(*arguments, **settings):
        study.write_text("garbage = [")
        return drive(*arguments, **settings)

    drive = running.drive
    monkeypatch.setattr(running, "drive", driven)
    assert main(["sweep", str(study), "--workers", "0"]) == 0
    assert capsys.readouterr().out.count("done, perplexity") == 6
    assert main(["sweep", str(study), "--workers", "0"]) == 2
    assert "study.toml: not TOML" in capsys.readouterr().err
    assert sum(each.exists() for each in Path("store").glob("runs/*/done.json")) == 6


def stopped_sweep(study: Path, number: signal.Signals, *, workers: int, once: str) -> str:
    """Sweep a longer study, signal it once a file of the store is there, return its errors."""
    study.write_text(study.read_text().replace("steps = 5", "steps = 40\nevaluate_every = 1"))
    command = [sys.executable, "-c", "from descentlab.cli.main import run; run()"]
    command += ["sweep", str(study), "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(Path("store").glob(once)):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 128 + number
    return error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_says_so_and_goes_on_where_it_stopped(study, number, tmp_path):
    error = stopped_sweep(study, number, workers=2, once="runs/*/done.json")
    assert "the same command goes on from here" in error
    assert "Traceback" not in error
    store = Store(tmp_path / "store")
    states = [store.status(run.run_id).state for run in store.runs()]
    assert states.count("running") == 0
    finished = {run.run_id for run in store.runs() if store.status(run.run_id).state == "done"}
    before = {run_id: store.folder(run_id).done.stat().st_mtime_ns for run_id in finished}
    assert main(["sweep", str(study), "--workers", "2"]) == 0
    after = {run_id: store.folder(run_id).done.stat().st_mtime_ns for run_id in finished}
    assert before == after
    assert all(store.status(run.run_id).state == "done" for run in store.runs())


def test_a_run_that_failed_can_be_computed_in_another_way(spec, capsys):
    assert main(["train", str(spec), "execution.device=cuda"]) in (0, 2)  # 2 without CUDA
    assert main(["train", str(spec), "execution.device=cpu"]) == 0
    assert "done, perplexity" in capsys.readouterr().out


def test_without_workers_a_signal_stops_the_whole_sweep(study, tmp_path):
    error = stopped_sweep(study, signal.SIGINT, workers=0, once="runs/*/attempt-1/timing.jsonl")
    assert "Traceback" not in error
    store = Store(tmp_path / "store")
    states = {store.status(run.run_id).state for run in store.runs()}
    assert states <= {"done", "interrupted", "pending"}
    assert "pending" in states


def test_damaged_runs_are_listed_after_the_others(spec, capsys):
    main(["train", str(spec), "seed=1"])
    main(["train", str(spec), "seed=2"])
    first = next(iter(Store(Path("store")).runs())).run_id
    (Path("store") / "runs" / first / "spec.json").write_text("{")
    capsys.readouterr()
    assert main(["runs", "store"]) == 5
    listed = capsys.readouterr()
    assert len(listed.out.splitlines()) == 1
    assert first in listed.err
    assert "move the run's folder out of the store" in listed.err


@pytest.mark.parametrize("option", [["--workers", "-1"], ["--seeds", "0"]])
def test_a_wrong_option_leaves_nothing_behind(option, tmp_path):
    assert main(["reproduce", "table1", "--scale", "tiny", "--store", "new", *option]) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("optimizer.lr = [0.1]", "axes.optimizer: give a list of values in brackets and write"),
        ('"" = [1]', "axes: '' is no setting"),
        ("seed = 3", "axes.seed: give a list of values in brackets"),
        (
            '"optimizer.lr" = [-1.0]',
            "study.toml: axes.optimizer.lr: Expected float > 0.0 (given: -1.0) (with lr=-1)",
        ),
    ],
)
def test_a_wrong_axis_is_named(study, axes, message, capsys):
    text = study.read_text()
    start, end = text.index("[axes]"), text.index("[run.model]")
    study.write_text(text[:start] + f"[axes]\n{axes}\n" + text[end:])
    assert main(["sweep", str(study)]) == 2
    assert message in capsys.readouterr().err
