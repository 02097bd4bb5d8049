"""Compiled runs beside uncompiled ones, and programs that are compiled only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from descentlab.train.compiler import VARIABLE, why_not
from descentlab.train.gradient import Gradient
from descentlab.train.loop import gradient_of, initial_model
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]
LOW = ["bfloat16-autocast", "bfloat16-master", "bfloat16"]

pytestmark = [
    pytest.mark.skipif(why_not(torch.device("cpu")) is not None, reason="no C++ compiler"),
    pytest.mark.timeout(900),  # each compiles once or twice
    # torch's compiler imports and calls what other parts of torch have deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    # it looks at every tensor's gradient where a graph begins
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("compiled")))
        yield
    torch._dynamo.reset()


def rows(count: int, length: int = 16) -> Tensor:
    """A batch ``[B, L+1]``."""
    return torch.randint(257, (count, length + 1), generator=torch.Generator().manual_seed(0))


def gradients(gradient: Gradient, batch_BL1: Tensor) -> tuple[float, Tensor]:
    """The loss of a batch, and its gradient as one vector."""
    gradient._model.zero_grad()
    loss = gradient(batch_BL1)
    flat = [each.grad.flatten() for each in gradient._model.parameters() if each.grad is not None]
    return loss, torch.cat(flat).double()


def error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def eager_and_compiled(tiny: Make, **changes: Any) -> list[Gradient]:
    made: list[Gradient] = []
    for how in ("never", "always"):
        execution = {**changes.get("execution", {}), "compile": how}
        spec = tiny(**{**changes, "execution": execution})
        model = initial_model(spec)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter *= 10  # so that every part of the model counts
        made.append(gradient_of(spec, model))
    return made


@pytest.mark.parametrize(
    "backend",
    ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)],  # 3 s, and 20 s with g++
)
def test_compiled_and_eager_agree_within_rounding(
    backend: str, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    eager, compiled = eager_and_compiled(tiny, execution={"loss_chunk": 40})
    loss, expected = gradients(eager, rows(5))
    found_loss, found = gradients(compiled, rows(5))
    assert found_loss == pytest.approx(loss, rel=1e-6)
    assert error(found, expected) < 1e-5
    # Held-out batches of the size of training, smaller, larger, and of other lengths.
    for count, length in ((5, 16), (2, 16), (6, 16), (1, 9)):
        held_out = rows(count, length)
        with torch.no_grad():
            ours, theirs = (
                each.token_losses(held_out[:, :-1], held_out[:, 1:]) for each in (compiled, eager)
            )
        assert ours.shape == (count * length,)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", LOW)
def test_low_precisions_agree_compiled(precision: str, tiny: Make) -> None:
    eager, compiled = eager_and_compiled(tiny, precision=precision)
    (exact,) = eager_and_compiled(tiny)[:1]
    expected = gradients(exact, rows(5))[1]
    # Both are as far from float32: the compiler rounds some intermediate values less often.
    assert error(gradients(compiled, rows(5))[1], expected) < 1.2 * error(
        gradients(eager, rows(5))[1], expected
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "execution",
    [{"activation_checkpointing": True}, {"micro_batch": 2}, {"projection": "torch"}],
    ids=str,
)
def test_other_ways_agree_compiled(execution: dict[str, Any], tiny: Make) -> None:
    eager, compiled = eager_and_compiled(tiny, model={"layers": 2}, execution=execution)
    loss, expected = gradients(eager, rows(5))
    found_loss, found = gradients(compiled, rows(5))
    assert found_loss == pytest.approx(loss, rel=1e-6)
    assert error(found, expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", *LOW])
def test_another_process_finds_the_programs_and_computes_the_same_bits(
    precision: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["data"]["max_epochs"] = 1000
    settings["execution"]["compile"] = "always"
    settings["precision"] = precision
    environment = {**os.environ, "DESCENTLAB_CACHE": str(tmp_path)}
    environment.pop(VARIABLE, None)
    command = [sys.executable, "-m", "oracles.compiled_run", json.dumps(settings)]
    folder = Path(__file__).parent.parent
    first, second = (
        json.loads(
            subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(2)
    )
    assert first["counters"]["fxgraph_cache_miss"] > 0
    assert "fxgraph_cache_miss" not in second["counters"]
    assert second["counters"]["fxgraph_cache_hit"] > 0
    assert first["records"] == second["records"]
    assert (tmp_path / "compiled").is_dir()


@pytest.mark.slow
def test_a_compiled_run_repeats_to_the_bit_with_several_threads(
    tiny: Make, run: Callable[[RunSpec], Any]
) -> None:
    """Many tokens share an embedding, whose gradient threads would add up in any order."""
    spec = tiny(
        model={"width": 64},
        training={"steps": 4, "batch_size": 64},
        data={"max_epochs": 1000},
        execution={"compile": "always", "threads": 2},
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = run(spec), run(spec)
    finally:
        torch.set_num_threads(before)
    assert first.steps == second.steps
    for one, other in zip(
        first.outcome.model.parameters(), second.outcome.model.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_process_compiles_whatever_number_of_models_it_trains(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch gives up compiling a function after eight variants, and computes it eagerly."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for length in range(4, 15):
            spec = tiny(data={"sequence_length": length}, execution={"compile": "always"})
            model = initial_model(spec)
            gradient_of(spec, model)(rows(spec.micro_batch, length))
