"""``descent bench train``: which ways are compared, and the table of their times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from descentlab.cli.bench import markdown, variants
from descentlab.cli.main import main
from descentlab.train import compiler, peak, throughput, turns
from descentlab.train.rehearsal import Rehearsal, random_tokens
from descentlab.train.spec import run_spec
from descentlab.train.turns import Times

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "model": {"size": "tiny"},
    "data": {"tokenizer": "byte", "sequence_length": 16},
    "optimizer": {"method": "adam", "lr": 1e-2, "beta": 0.9},
    "training": {"steps": 3, "batch_size": 4},
    "execution": {"threads": 1},
}
SPEC = """
model = {size = "tiny"}
data = {tokenizer = "byte", sequence_length = 16}
optimizer = {method = "adam", lr = 1e-2, beta = 0.9}
training = {steps = 3, batch_size = 4}
execution = {threads = 1}
"""
RUN = run_spec(SETTINGS, where="test")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC)


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize("compiles", [True, False])
def test_ways_are_those_that_can_pay_here(pays: bool, compiles: bool, monkeypatch) -> None:
    monkeypatch.setattr(peak, "bfloat16_pays", lambda device: pays)
    monkeypatch.setattr(compiler, "why_not", lambda device: None if compiles else "no compiler")
    ways = variants(RUN, CPU)
    low = ["bfloat16-autocast", "bfloat16-master", "bfloat16"] if pays else []
    rest = [name if compiles else f"{name}, eager" for name in ["float32", *low]]
    assert list(ways) == list(dict.fromkeys(["float32, eager", *rest]))
    for name, changes in ways.items():
        assert changes == {
            "precision": name.removesuffix(", eager"),
            "execution.compile": "never" if name.endswith("eager") else "always",
        }


def test_the_table_compares_rounds_and_shows_failures(monkeypatch) -> None:
    monkeypatch.setattr(throughput, "peak_flops", lambda device, low, tf32: 1e9 * (1 + low))
    times: dict[str, Times | str] = {
        "float32, eager": Times(start=1.0, steps=(0.2, 0.4, 0.1), peak_memory=5_000_000),
        "bfloat16": Times(start=2.5, steps=(0.1, 0.1, 0.1), peak_memory=6_000_000),
        "float32": "RuntimeError: out of memory",
    }
    table, failure = markdown(RUN, times, CPU).split("\n\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    flops = RUN.model.training_flops(16) * 64
    assert rows[2] == ["float32, eager", "320", "1.00", f"{flops / 0.2 / 1e9:.1%}", "5", "1.0"]
    assert rows[3] == ["bfloat16", "640", "2.00", f"{flops / 0.1 / 2e9:.1%}", "6", "2.5"]
    assert failure == "float32: RuntimeError: out of memory"


def test_the_command_times_real_runs(capsys, monkeypatch) -> None:
    taken: dict[str, Any] = {}

    def in_this_process(ways: dict[str, Callable[..., None]], **settings: Any) -> Any:
        taken.update(settings)
        for name, way in ways.items():
            taken[name] = steps_of(way, 3)
        return {name: Times(start=1.0, steps=(0.1,), peak_memory=10**7) for name in ways}

    monkeypatch.setattr(compiler, "why_not", lambda device: "no compiler")
    monkeypatch.setattr(peak, "bfloat16_pays", lambda device: True)
    monkeypatch.setattr(turns, "take_turns", in_this_process)
    command = ["bench", "train", "spec.toml", "model.layers=2", "--rounds", "1"]
    assert main([*command, "--turn-seconds", "0"]) == 0
    table, _, size = capsys.readouterr().out.rstrip().rpartition("\n")
    parameters = replace(RUN.model, layers=2).parameters
    assert size.startswith(f"{parameters:,} parameters, 4 sequences of 16 tokens a step, on cpu")
    assert (taken["rounds"], taken["turn_seconds"], taken["device"]) == (1, 0.0, "cpu")
    for name in ("float32, eager", "bfloat16-master, eager"):
        assert taken[name] == 3
        assert f"| {name}" in table


def steps_of(way: Callable[..., None], limit: int) -> int:
    """Let a contender train until it has begun so many steps, and say how many."""
    count = 0

    def turn() -> None:
        nonlocal count
        count += 1
        if count == limit:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        way(turn)
    return count


def test_a_rehearsal_needs_to_be_told_whether_to_compile() -> None:
    with pytest.raises(ValueError, match="compile always or never"):
        steps_of(Rehearsal(SETTINGS), 1)


def test_random_tokens_are_the_models_and_the_same_each_time() -> None:
    tokens = random_tokens(RUN).train.tokens[:]
    assert tokens.tolist() == random_tokens(RUN).train.tokens[:].tolist()
    assert len(tokens) == 4 * 4 * 17
    assert 0 <= tokens.min() < 30
    assert 227 < tokens.max() < 257


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "spec.toml", "--rounds", "0"], "error: rounds: got 0; allowed are 1 or more"),
        (["train", "spec.toml", "--turn-seconds", "-1"], "error: turn_seconds: got -1.0; allowed"),
        (["train", "spec.toml", "precision=fp16"], "error: spec.toml with precision=fp16: precisi"),
        (["train", "nowhere.toml"], "error: nowhere.toml: cannot be read"),
    ],
)
def test_errors_are_one_sentence_and_exit_with_2(arguments, said, capsys) -> None:
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
