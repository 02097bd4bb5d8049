"""What ``auto`` comes to, and what happens where nothing can be compiled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from descentlab.errors import ConfigError
from descentlab.model.projection import onednn_is_faster
from descentlab.train import computation as chosen
from descentlab.train.compiler import VARIABLE, keep_compiled, why_not
from descentlab.train.computation import Computation, computation
from descentlab.train.spec import RunSpec, run_spec

CPU = torch.device("cpu")
Make = Callable[..., RunSpec]
LONG: dict[str, Any] = {"training": {"steps": 10_000_000}}


def on_cpu(spec: RunSpec) -> Computation:
    return computation(spec, CPU)


@pytest.fixture
def compilable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "why_not", lambda device: None)


def test_table_1_is_computed_as_it_always_was() -> None:
    laptop = {
        "model": {"size": "laptop"},
        "data": {"tokenizer": "byte", "sequence_length": 64},
        "optimizer": {"method": "adam", "lr": 1.0, "beta": 0.9},
        "training": {"steps": 160, "batch_size": 32},
    }
    how = on_cpu(run_spec(laptop, where="test"))
    assert how == Computation(
        precision="float32",
        compiled=False,
        attention="sdpa",
        projection="torch",
        activation_checkpointing=False,
        loss_chunk=2048,  # all tokens of a batch
        tf32=False,
    )


@pytest.mark.usefixtures("compilable")
@pytest.mark.parametrize(
    ("changes", "compiled"),
    [
        ({}, False),
        (LONG, True),
        ({**LONG, "execution": {"compile": "never"}}, False),
        ({"execution": {"compile": "always"}}, True),
    ],
)
def test_auto_compiles_runs_that_are_long(
    changes: dict[str, Any], compiled: bool, tiny: Make
) -> None:
    spec = tiny(**changes)
    flops = 5 * 16 * spec.training.steps * spec.model.training_flops(16)
    assert (flops > 1e13) is ("training" in changes)
    how = on_cpu(spec)
    assert how.compiled is compiled
    assert how.projection == ("onednn" if compiled and onednn_is_faster() else "torch")


@pytest.mark.parametrize(
    ("precision", "length", "attention"),
    [
        ("float32", 64, "sdpa"),
        ("bfloat16-autocast", 64, "matmul"),
        ("bfloat16-master", 256, "matmul"),
        ("bfloat16", 257, "sdpa"),
    ],
)
def test_auto_takes_products_for_short_sequences_of_bfloat16(
    precision: str, length: int, attention: str, tiny: Make
) -> None:
    how = on_cpu(tiny(precision=precision, data={"sequence_length": length}))
    assert (how.attention, how.projection) == (attention, "torch")


@pytest.mark.parametrize(
    ("vocabulary", "sequences", "micro_batch", "chunk"),
    [
        (257, 5, None, 80),
        (50_280, 1000, None, 1334),  # 16,000 tokens in 12 chunks, of which none holds more
        (50_280, 1000, 50, 800),
        (2**30, 5, None, 1),
    ],
)
def test_the_default_chunks_are_even_and_hold_2_to_the_26_logits_at_most(
    vocabulary: int, sequences: int, micro_batch: int | None, chunk: int, tiny: Make
) -> None:
    spec = tiny(
        model={"vocabulary": vocabulary},
        training={"batch_size": sequences},
        execution={"micro_batch": micro_batch},
    )
    assert on_cpu(spec).loss_chunk == chunk
    assert chunk * vocabulary <= 2**26 or chunk == 1


def test_settings_that_are_given_stand(tiny: Make) -> None:
    given: dict[str, Any] = {
        "attention": "matmul",
        "projection": "torch",
        "activation_checkpointing": True,
        "loss_chunk": 3,
        "tf32": True,
    }
    how = on_cpu(tiny(execution=given))
    assert (how.attention, how.projection, how.loss_chunk) == ("matmul", "torch", 3)
    assert how.activation_checkpointing
    assert not how.tf32  # which a CPU does not have


def test_onednn_for_bfloat16_is_refused(tiny: Make) -> None:
    with pytest.raises(ConfigError, match=r"execution.projection: onednn computes float32"):
        on_cpu(tiny(precision="bfloat16", execution={"projection": "onednn"}))


def test_a_processor_without_bfloat16_is_worth_a_word(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "bfloat16_pays", lambda device: False)
    assert on_cpu(tiny()).notices == ()
    (notice,) = on_cpu(tiny(precision="bfloat16")).notices
    assert notice == "precision bfloat16: this device multiplies float32 as fast"


@pytest.mark.parametrize("broken", ["missing", "failing"])
def test_without_a_cpp_compiler_a_run_trains_uncompiled_and_says_so(
    broken: str,
    tiny: Make,
    run: Callable[[RunSpec], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler = tmp_path / "c++"
    if broken == "failing":
        compiler.write_text("#!/bin/sh\necho 'no licence' >&2\nexit 1\n")
        compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    spec = tiny(execution={"compile": "always"})
    how = on_cpu(spec)
    assert not how.compiled
    (notice,) = how.notices
    assert notice.startswith("not compiled, so slower: ")
    assert str(compiler) in notice
    assert ("no licence" in notice) is (broken == "failing")
    assert run(spec).steps == run(tiny()).steps


def test_a_compiler_without_the_headers_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -include nowhere.h\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert "does not serve" in (why_not(CPU) or "")


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (None, "cache/compiled"),
        ("mine", "mine"),
        (f"{tempfile.gettempdir()}/torchinductor_somebody", "cache/compiled"),
    ],
)
def test_compiled_programs_are_kept_in_the_cache_unless_named_otherwise(
    before: str | None, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, before or "")
    if before is None:
        monkeypatch.delenv(VARIABLE)
    keep_compiled()
    assert os.environ[VARIABLE] == (kept if before == "mine" else str(tmp_path / kept))


def test_a_cache_that_cannot_be_written_leaves_torchs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    keep_compiled()
    assert VARIABLE not in os.environ
