"""Every run that a store knows as one tidy table, whoever trained it, and every curve as another.

Losses are in nats per token. A run that diverged has an infinite loss, so that it ranks worst
wherever losses are compared; one without a result has none.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from descentlab.config import flat
from descentlab.errors import CorruptError
from descentlab.model.spec import SIZES
from descentlab.optim.methods import AnyMethod, ClassMethod, Method
from descentlab.runs.folder import Status
from descentlab.runs.identity import Run
from descentlab.runs.imported import ImportedRun, imports, read_runs
from descentlab.runs.labels import method_label
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.runs.studies import Entry

TYPES: Mapping[str, str] = {
    "run": "object",
    "source": "object",
    "sweep": "object",
    "studies": "object",
    "entries": "object",
    "method": "object",
    "state": "object",
    "reason": "object",
    "lr": "float64",
    "beta1": "float64",
    "beta2": "float64",
    "weight_decay": "float64",
    "clip_norm": "float64",
    "coordinate_clip": "float64",
    "eps": "float64",
    "init": "object",
    "bias_correction": "boolean",
    "seed": "Int64",
    "model": "object",
    "dataset": "object",
    "data": "object",
    "sequence_length": "Int64",
    "batch_size": "Int64",
    "steps": "Int64",
    "tokens": "Int64",
    "precision": "object",
    "diverged": "bool",
    "diverged_at": "Int64",
    "loss": "float64",
    "perplexity": "float64",
    "train_perplexity": "float64",
    "reported": "object",
    "inexact_since": "Int64",
    "points": "Int64",
    "curve": "object",
    "row": "Int64",
    "duplicate_of": "object",
    "settings": "object",
    "notes": "object",
}
"""The columns of the table of runs."""

CONDITIONS = ("model", "dataset", "data", "precision", "sequence_length", "batch_size")
"""The columns in which runs must agree for their losses to be compared, besides the budget."""

CURVE_COLUMNS = ("run", "kind", "step", "fraction", "loss")
"""The columns of the table of curves."""


def load(store: Store | Path | str, *, study: str | None = None) -> pd.DataFrame:
    """Read every run of a store, trained there or imported into it.

    Args:
        store: or its folder.
        study: the name of one whose runs to take; all runs if left out.

    Returns:
        One row per run. ``run`` is its id, or sweep and row of an imported one; ``source`` is
        descentlab, secretsauce, wandb or table; ``sweep`` is the imported file, or the experiment
        or study that first asked for it; ``studies`` has the names of all that did, and
        ``entries`` of each its experiment and what it calls the method. ``state`` is done,
        pending, running, failed, interrupted or damaged, with its ``reason``. Both β are there
        for adam, β2 alone varies for rmsprop, whose β1 is 0, and β1 alone for methods with one
        average. No clipping is infinite. ``settings`` has everything on record by dotted key,
        ``data`` the hash of the tokens, ``perplexity`` the exponential of ``loss``. ``reported``
        is what an import's source says instead of what was true, ``points`` and ``curve`` are the
        number of an import's training points and their hash. ``inexact_since`` is the step after
        which a run went on that could not repeat to the bit. What is not known is missing.

    Raises:
        ConfigError: if there is no such store or study.
        CorruptError: if a study or an imported file is damaged; a damaged run is a row that
            says so.
    """
    opened = store if isinstance(store, Store) else Store(Path(store))
    asked = opened.entries_by_run()
    chosen = opened.run_ids() if study is None else opened.study_runs(study)
    rows = [_own(opened, run_id, asked.get(run_id, ())) for run_id in dict.fromkeys(chosen)]
    if study is None:
        rows += [_imported(name, kind, run) for name, kind, run in _imported_runs(opened)]
    return tidy(rows)


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of runs with its columns and types; what a row lacks is missing."""
    frame = pd.DataFrame.from_records(list(rows), columns=list(TYPES))
    frame["diverged"] = frame["diverged"].eq(True)
    frame = frame.astype(dict(TYPES))
    for name in (name for name, kind in TYPES.items() if kind == "object"):
        frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def load_curves(store: Store | Path | str, runs: Iterable[str] | None = None) -> pd.DataFrame:
    """Read the curves of runs.

    Args:
        store: or its folder.
        runs: the ids to take, as ``load`` gives them; all if left out.

    Returns:
        One row per point, in the order of training: ``run``; ``kind``, training or validation;
        ``step``, missing where it is not on record; ``fraction`` of the run's steps, for
        training curves without steps where it is expected; ``loss``.
    """
    opened = store if isinstance(store, Store) else Store(Path(store))
    wanted = None if runs is None else set(runs)
    parts = [*_own_curves(opened, wanted), *_imported_curves(opened, wanted)]
    if not parts:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _own(store: Store, run_id: str, entries: tuple[Entry, ...]) -> dict[str, Any]:
    names: dict[str, Any] = {"run": run_id, "source": "descentlab", "reported": {}}
    names["studies"] = tuple(dict.fromkeys(entry.study for entry in entries))
    names |= {"entries": entries, "sweep": entries[0].experiment if entries else ""}
    try:
        run, status = store.folder(run_id).run(), store.status(run_id)
    except CorruptError as error:
        nothing = {"settings": {}, "notes": (), "diverged": False}
        return {**names, **nothing, "state": "damaged", "reason": str(error)}
    identity, settings = run.identity, run.settings
    spelled = {**identity["optimizer"], **settings["optimizer"]}
    return {
        **names,
        **_status(status),
        **_optimizer(settings["optimizer"], complete=True),
        "method": method_label(str(spelled["method"]), spelled),
        "seed": identity["seed"],
        **conditions_of(run),
        "steps": identity["training"]["steps"],
        "settings": _settings(run),
        "notes": (),
    }


def conditions_of(run: Run) -> dict[str, Any]:
    """The columns of ``CONDITIONS`` and ``tokens``, the budget, of a run trained here."""
    identity, training = run.identity, run.identity["training"]
    return {
        "model": _model_name(identity["model"]),
        "dataset": Path(str(run.settings.get("data", {}).get("corpus", "sotu"))).name,
        "data": run.data_sha256,
        "precision": identity.get("precision", "float32"),
        "sequence_length": identity["sequence_length"],
        "batch_size": training["batch_size"],
        "tokens": training["steps"] * training["batch_size"] * identity["sequence_length"],
    }


def _status(status: Status) -> dict[str, Any]:
    result = status.result
    if result is None:
        return {"state": status.state, "reason": status.reason, "diverged": False}
    diverged = result.outcome == "diverged" or result.validation_loss is None
    loss = math.inf if diverged else result.validation_loss
    return {
        "state": "done",
        "reason": result.reason,
        "diverged": diverged,
        "diverged_at": result.diverged_at,
        "inexact_since": result.inexact_since,
        "loss": loss,
        "perplexity": _exp(loss),
    }


def _optimizer(spelled: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
    """The columns of an optimizer's settings; a complete one has its defaults."""
    method: Method = msgspec.convert(dict(spelled), AnyMethod)
    known = msgspec.to_builtins(method) if complete else dict(spelled)
    if isinstance(method, ClassMethod):
        known |= _decays(method)
    beta = known.get("beta")
    name = known["method"]
    beta1 = {"rmsprop": 0.0, "signsgd": 0.0}.get(name, known.get("beta1", beta))
    beta2 = known.get("beta2")
    if name in ("adam", "rmsprop") and beta2 is None:
        beta2 = beta
    limits = {key: known.get(key) for key in ("clip_norm", "coordinate_clip")}
    kept = ("lr", "weight_decay", "eps", "init", "bias_correction")
    return {
        "beta1": beta if beta1 is None else beta1,
        "beta2": beta2,
        **{key: math.inf if value == "none" else value for key, value in limits.items()},
        **{key: known.get(key) for key in kept},
    }


def _decays(method: ClassMethod) -> dict[str, Any]:
    """The decays of somebody's class, as far as its arguments have names that tell them."""
    given = method.keywords
    betas = given.get("betas")
    if isinstance(betas, tuple) and len(betas) == 2:
        return {"beta1": betas[0], "beta2": betas[1]}
    numbers = {"beta1": given.get("momentum", given.get("beta")), "beta2": given.get("alpha")}
    return {key: value for key, value in numbers.items() if isinstance(value, int | float)}


def _settings(run: Run) -> dict[str, Any]:
    """By dotted key: what decides the result, and where its tokens came from."""
    asked = {key: run.settings[key] for key in ("data", "execution") if key in run.settings}
    return dict(flat({**run.identity, **asked}))


def _model_name(model: Mapping[str, Any]) -> str:
    for name, spec in SIZES.items():
        if msgspec.to_builtins(spec) == dict(model):
            return name
    return f"{model['layers']} layers, width {model['width']}"


def _imported_runs(store: Store) -> Iterator[tuple[str, str, ImportedRun]]:
    """Every imported run with its name and the kind of its file."""
    found = imports(store)
    sweeps = Counter(sweep for each in found for sweep in each.sweeps)
    for each in found:
        for run in read_runs(store, each):
            same = sweeps[run.sweep] > 1
            yield _name(run, run.row, each.source.import_id if same else ""), each.source.kind, run


def _name(run: ImportedRun, row: int, import_id: str) -> str:
    """Sweep and row; where another file has that sweep, the import as well."""
    return f"{run.sweep}#{row}" + (f"@{import_id[:6]}" if import_id else "")


def _imported(name: str, kind: str, run: ImportedRun) -> dict[str, Any]:
    loss, first = math.nan, run.duplicate_of
    if run.diverged:
        loss = math.inf
    elif run.final_perplexity is not None and run.final_perplexity > 0:
        loss = math.log(run.final_perplexity)
    spelled = {"method": run.method, **run.settings}
    return {
        "run": name,
        "source": kind,
        "sweep": run.sweep,
        "studies": (),
        "entries": (),
        "method": run.label,
        "state": "done",
        "reason": None,
        **_optimizer(spelled, complete=False),
        "seed": run.seed,
        "model": run.model,
        "dataset": run.dataset,
        "sequence_length": run.sequence_length,
        "batch_size": run.batch_size,
        "steps": run.steps,
        "tokens": run.tokens,
        "diverged": run.diverged,
        "loss": loss,
        "perplexity": _exp(loss),
        "train_perplexity": run.train_perplexity,
        "reported": run.reported,
        "points": len(run.curve),
        "curve": hashlib.sha256(run.curve.tobytes()).hexdigest()[:16] if len(run.curve) else None,
        "row": run.row,
        "duplicate_of": None if first is None else name.replace(f"#{run.row}", f"#{first}", 1),
        "settings": {f"optimizer.{key}": value for key, value in spelled.items()},
        "notes": run.notes,
    }


def _exp(loss: float | None) -> float:
    if loss is None:
        return math.nan
    return math.exp(loss) if loss < 700 else math.inf


def _own_curves(store: Store, wanted: set[str] | None) -> Iterator[pd.DataFrame]:
    for run_id in store.run_ids():
        attempt = store.latest_attempt(run_id) if wanted is None or run_id in wanted else None
        if attempt is None:
            continue
        steps = int(store.folder(run_id).run().identity["training"]["steps"])
        points = [
            (kind, record["step"], record[name])
            for record in read_records(attempt.metrics).records
            for kind, name in (("training", "loss"), ("validation", "validation_loss"))
            if name in record
        ]
        kinds, at, losses = zip(*points, strict=True) if points else ((), (), ())
        yield _curve(run_id, list(kinds), np.array(at, float), np.array(at, float) / steps, losses)


def _imported_curves(store: Store, wanted: set[str] | None) -> Iterator[pd.DataFrame]:
    for name, _, run in _imported_runs(store):
        if not len(run.curve) or (wanted is not None and name not in wanted):
            continue
        steps = run.curve_steps
        at = np.full(len(run.curve), np.nan) if steps is None else steps.astype(float)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            losses = np.log(run.curve)
        yield _curve(name, ["training"] * len(at), at, run.fractions, losses)


def _curve(run: str, kinds: list[str], steps: Any, fractions: Any, losses: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": run,
            "kind": kinds,
            "step": pd.array(steps, dtype="Float64").astype("Int64"),
            "fraction": fractions,
            "loss": np.asarray(losses, dtype=np.float64),
        },
        columns=list(CURVE_COLUMNS),
    )
