"""Tables of runs as ``load`` gives them, of runs that nobody trained."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from descentlab.analysis.frame import TYPES

PLACE = {
    "model": "160M",
    "dataset": "SlimPajama",
    "sequence_length": 2048,
    "batch_size": 256,
    "steps": 6200,
}


def run(method="adam", *, lr=1e-3, perplexity=20.0, seed=None, state="done", **columns):
    """One row; an infinite perplexity is a run that diverged, nan one without an end."""
    known = {**PLACE, **{name: columns.pop(name) for name in PLACE if name in columns}}
    optimizer = {"method": method, "lr": lr, "weight_decay": 0.1, "clip_norm": 1.0, **columns}
    steps, batch, length = (known[each] for each in ("steps", "batch_size", "sequence_length"))
    return {
        **known,
        **optimizer,
        "source": "table",
        "state": state,
        "seed": seed,
        "tokens": None if steps is None else steps * batch * length,
        "perplexity": perplexity,
        "loss": math.log(perplexity),
        "diverged": math.isinf(perplexity),
        "settings": {f"optimizer.{name}": value for name, value in optimizer.items()},
    }


def frame(rows):
    """A table of runs with every column that ``load`` gives."""
    whole = [{"run": f"run-{place}", "notes": (), **row} for place, row in enumerate(rows)]
    table = pd.DataFrame.from_records(whole, columns=list(TYPES))
    table["diverged"] = table["diverged"].eq(True)
    return table.astype(dict(TYPES))


def random_grid(random: np.random.Generator):
    """Rows of adam over a grid with holes, with runs that diverged, stopped and were repeated."""
    rates = sorted(random.choice([5e-4, 1e-3, 2e-3, 4e-3, 8e-3], 3, replace=False))
    betas = [0.8, 0.9, 0.95, 0.975]
    rows = []
    for lr in rates:
        for beta1 in betas:
            for beta2 in betas:
                chance = random.random()
                if chance < 0.1:
                    continue
                perplexity = float(np.round(random.uniform(20, 30), 3))
                state = "done"
                if chance < 0.2:
                    perplexity = math.inf
                elif chance < 0.3:
                    perplexity, state = math.nan, "interrupted"
                one = run(
                    lr=lr, beta1=beta1, beta2=beta2, perplexity=perplexity, seed=0, state=state
                )
                rows += [one] * (2 if chance > 0.97 else 1)
    return rows
