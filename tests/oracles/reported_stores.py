"""Small stores to report on: a duel of two tuned methods, and one whose names are hostile."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from oracles.stored_runs import stored

from descentlab.runs.identity import make_run
from descentlab.runs.imported import ImportedRun, Source, write_import
from descentlab.runs.store import Store
from descentlab.train.spec import run_spec

LRS = (1e-3, 2e-3, 4e-3, 8e-3)
BETAS = (0.8, 0.9, 0.95)
FRESH = (101, 102, 103, 104, 105, 106)
NOISE = {101: 0.01, 102: -0.02, 103: 0.015, 104: 0.0, 105: -0.01, 106: 0.02}
"""Of both methods alike, by seed."""
OWN = {101: 0.004, 102: 0.001, 103: -0.002, 104: 0.003, 105: 0.0, 106: -0.004}
"""Of signum besides."""
HOSTILE = (
    "<img src=x onerror=document.title='owned'>",
    "</script><script>document.title='owned'</script>",
    "\"onload=\"document.title='owned'",
    "evil\u202egnp.exe",
    "' | `x` [a](javascript:alert(1)) {{7*7}} ${7*7} %s",
)


def adam_loss(lr: float, beta1: float, beta2: float) -> float:
    """A bowl with its lowest point at lr 2e-3, β1 0.9 and β2 0.95."""
    return (
        3.0
        + 0.02 * math.log2(lr / 2e-3) ** 2
        + 0.01 * math.log2((1 - beta1) / 0.1) ** 2
        + 0.012 * math.log2((1 - beta2) / 0.05) ** 2
    )


def signum_loss(lr: float, beta: float) -> float:
    return 3.1 + 0.02 * math.log2(lr / 1e-3) ** 2 + 0.01 * math.log2((1 - beta) / 0.1) ** 2


def duel(root) -> Store:
    """Adam against signum: tuned on seed 0, judged on six others; one run diverged, one is to come.

    Signum diverges at its highest rate with β = 0.95. A run of Adam's grid is on record that
    nobody has begun.
    """
    store = Store(root, create=True)
    points = []

    def ran(name, loss, seed=0, **settings):
        run = stored(store, method=name, seed=seed, loss=loss, **settings)
        points.append({"method": name, "seed": seed, **settings, "run_id": run})

    for lr, beta1, beta2 in product(LRS, BETAS, BETAS):
        ran("adam", adam_loss(lr, beta1, beta2), lr=lr, beta1=beta1, beta2=beta2)
    for lr, beta in product(LRS, BETAS):
        lost = lr == 8e-3 and beta == 0.95
        ran("signum", math.inf if lost else signum_loss(lr, beta), lr=lr, beta=beta)
    for seed in FRESH:
        best = {"lr": 2e-3, "beta1": 0.9, "beta2": 0.95}
        ran("adam", adam_loss(2e-3, 0.9, 0.95) + NOISE[seed], seed, **best)
        loss = signum_loss(1e-3, 0.9) + NOISE[seed] + OWN[seed]
        ran("signum", loss, seed, lr=1e-3, beta=0.9)
    waiting = pending(store, lr=1.6e-2)
    points.append({"method": "adam", "lr": 1.6e-2, "seed": 0, "run_id": waiting})
    store.register_study("duel-grid", {"experiment": "duel", "runs": points})
    return store


def pending(store: Store, lr: float) -> str:
    """A run that is on record and that nobody has begun."""
    settings = {
        "model": {"size": "tiny"},
        "data": {"tokenizer": "byte", "sequence_length": 32},
        "optimizer": {"method": "adam", "lr": lr, "beta1": 0.9, "beta2": 0.95},
        "training": {"steps": 10, "batch_size": 8},
        "schedule": {"floor": 0.1},
    }
    identity = run_spec(settings, where="test").identity()
    run = make_run(identity=identity, settings=settings, data_sha256="0" * 64)
    store.register(run)
    return run.run_id


def hostile(root) -> Store:
    """A store in which every name that is free to be chosen is an attack."""
    store = Store(root, create=True)
    points = []
    for number, name in enumerate(HOSTILE):
        for lr in (1e-3, 2e-3):
            loss = 3.0 + number / 10 + lr
            run = stored(store, method="signum", beta=0.9, lr=lr, seed=number, loss=loss)
            points.append({"method": name, "lr": lr, "seed": number, "run_id": run})
    store.register_study("attack", {"experiment": HOSTILE[1], "runs": points})
    failing = pending(store, lr=3e-3)
    attempt = store.claim(failing)
    attempt.begin({"platform": HOSTILE[0], "notices": list(HOSTILE)})
    attempt.end("failed", HOSTILE[1])
    runs = [
        ImportedRun(
            sweep=name,
            row=row,
            method="adam",
            settings={"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "clip_norm": 1.0},
            curve=np.array([9.0, 8.0, 7.0 + row]),
            final_perplexity=20.0 + row,
            batch_size=256,
            sequence_length=2048,
            steps=6200,
            model=name,
            dataset=HOSTILE[-1 - row],
            notes=HOSTILE,
            reported={name: 3.0},
        )
        for row, name in enumerate(HOSTILE)
    ]
    write_import(store, Source(kind="table", name=HOSTILE[0], bytes=3, sha256="ab" * 32), runs)
    return store
