"""A run as the processes under test train it, and what it leaves behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from descentlab.config import canonical_json
from descentlab.errors import CorruptError
from descentlab.runs import checkpoints
from descentlab.runs.identity import Run
from descentlab.runs.store import RunFolder, Store

SAVED, WENT_ON = "saved after step ", "goes on after step "


def warm_up() -> None:
    """Do once what every process would do before its first step.

    No gradient is computed: torch refuses one in a fork of a process that has.
    """
    import torch
    import torch._dynamo

    from descentlab.optim.implementations import native
    from descentlab.train import work  # noqa: F401
    from descentlab.train.loop import initial_model
    from descentlab.train.spec import run_spec
    from descentlab.train.throughput import peak_for

    native.available()
    settings = {
        "model": {"layers": 1, "heads": 1, "width": 8, "vocabulary": 257},
        "data": {"corpus": "none", "tokenizer": "byte", "sequence_length": 8},
        "optimizer": {"method": "adam", "lr": 0.01, "beta": 0.9},
        "training": {"steps": 1, "batch_size": 1},
    }
    spec, device = run_spec(settings, where="test"), torch.device("cpu")
    canonical_json(spec.identity())
    initial_model(spec)
    peak_for(spec, device)


def train(root: str, run_json: str) -> None:
    """Do what ``descent train`` does with a spec, and say what was saved and gone on from."""
    from descentlab.train.work import train_in_store

    tell()
    run = msgspec.json.decode(run_json, type=Run)
    store = Store(Path(root), create=True)
    store.register(run)
    train_in_store(store, run, warn=lambda line: print(f"warning: {line}", file=sys.stderr))


def sweep(root: str, runs_json: str) -> None:
    """Drive runs to their results, all in this process."""
    from descentlab.sweep.driver import Sweep
    from descentlab.sweep.executors.inline import InlineExecutor

    Sweep(
        runs=msgspec.json.decode(runs_json, type=list[Run]),
        labels={},
        store=Store(Path(root), create=True),
        executor=InlineExecutor(),
        target="descentlab.train.work:work",
        observe=lambda progress: None,
        steps_of=lambda run: int(run.settings["training"]["steps"]),
    ).drive()


def descent(*arguments: str) -> None:
    """Run the console script."""
    from descentlab.cli.main import run

    tell()
    sys.argv = ["descent", *arguments]
    run()


def as_toml(settings: Mapping[str, Any]) -> str:
    """Write settings so that ``descent`` can read them."""
    return "".join(f"{name} = {_inline(each)}\n" for name, each in _given(settings))


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_inline(each)}" for name, each in _given(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def _given(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """TOML has no null: what is None is left out."""
    return [(json.dumps(name), each) for name, each in table.items() if each is not None]


def tell() -> None:
    """Print what is saved and gone on from."""
    save, adopt = checkpoints.save, checkpoints.adopt

    def saving(attempt: Any, step: int, *arguments: Any, **settings: Any) -> Path:
        path = save(attempt, step, *arguments, **settings)
        print(f"{SAVED}{step}", flush=True)
        return path

    def adopting(found: Any, attempt: Any) -> Any:
        print(f"{WENT_ON}{found.manifest.step}", flush=True)
        return adopt(found, attempt)

    checkpoints.save, checkpoints.adopt = saving, adopting


def steps(said: str, what: str) -> list[int]:
    """The steps that a process said it had saved, or gone on from."""
    return [int(line.removeprefix(what)) for line in said.splitlines() if line.startswith(what)]


def outcome(folder: RunFolder) -> dict[str, bytes]:
    """What must come out the same: result, last state and records, byte for byte."""
    result = folder.result()
    assert result is not None
    files = {}
    with suppress(CorruptError):
        if (found := checkpoints.newest(folder, lambda line: None)) is not None:
            files = {name: (found.path / name).read_bytes() for name in found.manifest.files}
    attempt = folder.attempt(result.generation)
    for path in (attempt.metrics, attempt.probes):
        if path.exists():
            files[path.name] = path.read_bytes()
    files["result"] = msgspec.json.encode(msgspec.structs.replace(result, generation=0))
    return files


def different(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The parts in which two outcomes differ."""
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
