"""Tables of runs as ``analysis.load`` gives them, with made-up losses."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from descentlab.analysis.claims.evidence import Evidence, prepared
from descentlab.analysis.frame import TYPES

HERE = {
    "model": "laptop",
    "dataset": "text",
    "sequence_length": 64,
    "batch_size": 32,
    "steps": 160,
}
COUNT = itertools.count()


def run(method, perplexity, *, lr=0.01, beta=0.9, beta1=None, beta2=None, seed=0, **others):
    """One row; without a perplexity it was stopped, with an infinite one it diverged."""
    stopped = perplexity is None
    loss = math.nan if stopped else math.log(perplexity) if perplexity < 1e9 else math.inf
    return {
        **HERE,
        "run": f"run {next(COUNT)}",
        "source": "descentlab",
        "method": method,
        "state": "interrupted" if stopped else "done",
        "lr": lr,
        "beta1": beta if beta1 is None else beta1,
        "beta2": beta2,
        "eps": 1e-8 if method == "adam" else None,
        "init": "gradient" if method == "signum" else "zero",
        "seed": seed,
        "loss": loss,
        "diverged": loss == math.inf,
        "settings": {"optimizer.method": method},
        "notes": (),
        **others,
    }


def frame(rows):
    """The table of some runs."""
    table = pd.DataFrame.from_records(rows, columns=list(TYPES))
    table["diverged"] = table["diverged"].eq(True)
    table = table.astype(dict(TYPES))
    for name in (name for name, kind in TYPES.items() if kind == "object"):
        table[name] = table[name].where(table[name].notna(), None)
    return table


def evidence(rows, **others):
    """A scale with some runs, at the condition ``HERE``."""
    return Evidence(name="made up", runs=prepared(frame(rows)), condition=HERE, **others)


def tuned(method, perplexities, *, best_lr=0.02, seeds=(101, 102, 103), **others):
    """A grid of three learning rates on seed 0, and its winner with fresh seeds."""
    rates = [best_lr / 2, best_lr, best_lr * 2]
    mean = sum(perplexities) / len(perplexities)
    grid = [run(method, mean * (1 + 0.1 * (lr != best_lr)), lr=lr, **others) for lr in rates]
    fresh = [
        run(method, perplexity, lr=best_lr, seed=seed, **others)
        for perplexity, seed in zip(perplexities, seeds, strict=True)
    ]
    return [*grid, *fresh]
