"""Made-up runs as ``analysis.load`` gives them: a fair comparison, to plant faults into."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from descentlab.analysis.frame import tidy
from descentlab.runs.studies import Entry

FRESH = (101, 102, 103)
LRS = (1e-3, 2e-3, 4e-3)
BETAS = (0.9, 0.95, 0.975)

Rows = list[dict[str, Any]]


def run(
    name: str,
    *,
    method: str = "adam",
    lr: float = 2e-3,
    beta: float = 0.95,
    loss: float = 3.1,
    seed: int | None = 0,
    **changes: Any,
) -> dict[str, Any]:
    """One row: trained here on a study's behalf, unless ``changes`` say otherwise."""
    settings = {
        "optimizer.method": method.partition("+")[0],
        "optimizer.lr": lr,
        "optimizer.beta": beta,
        "optimizer.weight_decay": changes.get("weight_decay", 0.1),
        "schedule.floor_lr": 0.0,
        "schedule.warmup_steps": 30,
        "training.steps": changes.get("steps", 100),
        **changes.pop("more", {}),
    }
    steps = changes.get("steps", 100)
    row = {
        "run": name, "source": "descentlab", "sweep": "study", "studies": ("study",),
        "entries": (Entry("study", "study", method),), "method": method, "state": "done",
        "lr": lr, "beta1": beta, "beta2": beta if method == "adam" else None,
        "weight_decay": 0.1, "clip_norm": 1.0, "seed": seed, "model": "tiny", "dataset": "sotu",
        "data": "ab" * 32, "sequence_length": 32, "batch_size": 8, "steps": steps,
        "tokens": 256 * steps, "precision": "float32", "diverged": False, "loss": loss,
        "reported": {}, "settings": settings, "notes": (),
    }  # fmt: skip
    row |= changes
    row["diverged"] = bool(row["diverged"]) or math.isinf(row["loss"])
    row["perplexity"] = math.exp(row["loss"]) if row["loss"] < 700 else math.inf
    return row


def grid(
    method: str,
    *,
    lrs: Iterable[float] = LRS,
    betas: Iterable[float] = BETAS,
    best: tuple[float, float] = (2e-3, 0.95),
    floor: float = 3.0,
    **changes: Any,
) -> Rows:
    """A method's tuning on seed 0, with its optimum at ``best``."""
    return [
        run(
            f"{method}-{lr:g}-{beta:g}",
            method=method,
            lr=lr,
            beta=beta,
            loss=floor + _bowl(lr, best[0]) + _bowl(1 - beta, 1 - best[1]) + (lr + beta) / 700,
            **changes,
        )
        for lr in lrs
        for beta in betas
    ]


def judged(
    method: str,
    *,
    best: tuple[float, float] = (2e-3, 0.95),
    floor: float = 3.0,
    seeds: Iterable[int] = FRESH,
    **changes: Any,
) -> Rows:
    """The best setting with seeds that tuning did not use."""
    lr, beta = best
    return [
        run(f"{method}-seed-{seed}", method=method, lr=lr, beta=beta, seed=seed,
            loss=floor + 0.001 * seed, **changes)
        for seed in seeds
    ]  # fmt: skip


def fair() -> Rows:
    """Two methods, tuned alike on nine settings each and judged on three fresh seeds."""
    rows = []
    for method, floor in (("adam", 3.0), ("signum", 3.1)):
        rows += grid(method, floor=floor) + judged(method, floor=floor)
    return rows


def released(rows: Rows, sweep: str = "Adam_160M_SP_SL2048_3Btok_BS256", **changes: Any) -> Rows:
    """The same rows as if they had been imported from a released file."""
    known = {
        "source": "secretsauce", "sweep": sweep, "studies": (), "entries": (), "seed": None,
        "model": "160M", "dataset": "SlimPajama", "data": None, "sequence_length": 2048,
        "batch_size": 256, "steps": 6200, "tokens": 6200 * 256 * 2048, "precision": None,
        "points": 500,
    }  # fmt: skip
    return [
        {**row, **known, "run": f"{sweep}#{number}", "row": number, "curve": f"{sweep}{number}",
         "settings": _optimizer(row["settings"]), **changes}
        for number, row in enumerate(rows)
    ]  # fmt: skip


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as ``analysis.load`` gives them."""
    return tidy(rows)


def _bowl(value: float, best: float) -> float:
    return 0.02 * math.log2(value / best) ** 2


def _optimizer(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key.startswith("optimizer.")}
