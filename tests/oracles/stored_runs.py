"""Finished runs in a store that nobody trained."""

from __future__ import annotations

import math

from descentlab.runs.identity import make_run
from descentlab.runs.store import Result
from descentlab.train.spec import run_spec


def stored(store, *, method="adam", lr=1e-3, seed=0, loss=4.0, steps=10, **optimizer):
    """A finished run whose training loss falls to its final one."""
    settings = {
        "model": {"size": "tiny"},
        "data": {"tokenizer": "byte", "sequence_length": 32},
        "optimizer": {"method": method, "lr": lr, **optimizer},
        "training": {"steps": steps, "batch_size": 8},
        "schedule": {"floor": 0.1},
        "seed": seed,
    }
    spec = run_spec(settings, where="test")
    run = make_run(identity=spec.identity(), settings=settings, data_sha256="0" * 64)
    store.register(run)
    attempt = store.claim(run.run_id)
    attempt.begin({})
    with attempt.open_metrics() as metrics:
        for step in range(1, steps + 1):
            metrics.write({"step": step, "loss": loss + 1 - step / steps})
    finite = math.isfinite(loss)
    attempt.finish(
        Result(
            outcome="ok" if finite else "diverged",
            generation=1,
            steps=steps,
            tokens=1,
            validation_loss=loss if finite else None,
        )
    )
    return run.run_id
