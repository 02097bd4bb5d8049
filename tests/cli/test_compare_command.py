"""``descent compare`` and ``ablate`` from end to end: our methods, torch's, a file of one's own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from oracles.planted_optimizers import SOURCE

from descentlab.cli.main import main
from descentlab.runs.store import Store

ROOT = Path(__file__).parents[2]
SPEC = """
[model]
size = "tiny"
[data]
corpus = "corpus.txt"
separator = "\\f"
tokenizer = "byte"
sequence_length = 16
validation_fraction = 0.2
[training]
steps = 6
batch_size = 4
[execution]
device = "cpu"
threads = 1
"""
CANDIDATES = ["adam", "torch.optim.Muon", "entrant.py:Lion"]
COMMAND = ["compare", *CANDIDATES, "--scale", "tiny", "--spec", "run.toml", "--seeds", "2",
           "--no-racing", "--workers", "0", "--out", "out"]  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(small_corpus):
    Path("run.toml").write_text(SPEC)
    text = (ROOT / "examples" / "my_optimizer.py").read_text()
    fewer = {"[-2, 2]": "[0, 1]", '[0, {"halving_one_minus": [0.6, 0.9]}, 0.95]': "[0.6, 0.8]"}
    for old, new in fewer.items():
        assert old in text
        text = text.replace(old, new)
    Path("entrant.py").write_text(text)
    Path("planted.py").write_text(SOURCE)
    before = list(sys.path)
    yield
    for name in ("entrant", "planted"):
        sys.modules.pop(name, None)
    sys.path[:] = before


@pytest.mark.timeout(200)
def test_a_comparison_from_the_command_to_the_table_and_again(capsys):
    assert main(COMMAND) == 0
    printed = capsys.readouterr().out
    assert Path("out/comparison.md").read_text() in printed
    data = json.loads(Path("out/comparison.json").read_text())
    table = pd.read_csv("out/comparison.csv")
    assert set(table["method"]) == {"adam", "Muon", "Lion"}
    assert list(table["perplexity"]) == sorted(table["perplexity"])
    assert table["trials"].nunique() == 1
    assert list(table["n"]) == [2, 2, 2]
    store = Store(Path("store"))
    assert data["trials"]
    for trial in data["trials"]:
        result = store.folder(trial["run_id"]).result()
        assert result is not None
        assert result.validation_loss == trial["validation_loss"]
    muon = next(each for each in data["candidates"] if each["name"] == "Muon")
    assert "hidden matrices" in " ".join(muon["remarks"])
    for words in ("## Verdicts", "## Cost", "## Audit", "0 errors, "):
        assert words in printed
    assert {path.suffix for path in Path("out").iterdir()} == {
        ".md",
        ".csv",
        ".json",
        ".svg",
        ".png",
        ".html",
    }

    done = {each: store.folder(each).done.stat().st_mtime_ns for each in store.run_ids()}
    assert main(COMMAND) == 0
    assert {each: store.folder(each).done.stat().st_mtime_ns for each in store.run_ids()} == done
    again = pd.read_csv("out/comparison.csv")
    untimed = [name for name in table if name != "update_ratio"]
    pd.testing.assert_frame_equal(again[untimed], table[untimed])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["adam"], 2, "name two or more"),
        (["adam", "adm"], 2, "did you mean adam"),
        (["adam", "signum", "--seeds", "0"], 2, "seeds: got 0"),
        (["adam", "planted.py:Greedy"], 2, "needs loss"),
        (["adam", "planted.py:Forgetful"], 2, "after a checkpoint"),
        (["adam", "planted.py:Still"], 8, "Still fails"),
        (["adam", "signum", "--spec", "nothing.toml"], 2, "cannot be read"),
    ],
)
def test_mistakes_are_told_in_a_line_before_anything_is_trained(capsys, arguments, code, said):
    assert main(["compare", *arguments, "--workers", "0"]) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    store = Path("store")
    assert not store.exists() or not Store(store).run_ids()
    shutil.rmtree(store, ignore_errors=True)


@pytest.mark.parametrize("command", ["compare", "ablate"])
def test_a_scale_that_there_is_not_lists_those_that_there_are(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "adam", "signum", "--scale", "huge"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "'huge'" in said
    assert "'tiny', 'laptop', 'workstation'" in said
    assert not Path("store").exists()


def test_an_ablation_from_the_command_to_the_table(capsys):
    command = ["ablate", "adam", "sgd+Gclip", "--scale", "tiny", "--spec", "run.toml"]
    command += ["--seeds", "2", "--no-racing", "--workers", "0", "--out", "out"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert Path("out/ablation.md").read_text() in printed
    effects = pd.read_csv("out/ablation.csv")
    assert set(effects["switch"]) == {
        "start", "bias correction", "lr floor", "clip none", "clip coordinates", "decay coupling",
        "bfloat16-autocast", "bfloat16",
    }  # fmt: skip
    assert set(effects["n"]) == {2}
    switches = json.loads(Path("out/ablation.json").read_text())["switches"]
    assert {each["survival"] for each in switches} <= {"survives", "does not", "cannot be told"}
    assert main(["ablate", "adam"]) == 2
    assert "a ranking needs two" in capsys.readouterr().err
