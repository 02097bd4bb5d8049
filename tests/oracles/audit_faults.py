"""Small comparisons with one fault each, and what the audit says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from oracles.runs import FRESH, Rows, fair, grid, judged, released, table

from descentlab.analysis.audit import Finding, audit

SIGNUM = "Signum_160M_SP_SL2048_3Btok_BS256"


def findings(rows: Rows, check: str | None = None) -> list[Finding]:
    found = audit(table(rows))
    return [each for each in found if check in (None, each.check)]


def one(rows: Rows, check: str) -> Finding:
    (found,) = findings(rows, check)
    return found


def with_changes(rows: Rows, of: str, **changes) -> Rows:
    """The rows, those of one method changed, the settings as well."""
    more = changes.pop("more", {})
    return [
        {**row, **changes, "settings": {**row["settings"], **more}} if row["method"] == of else row
        for row in rows
    ]


def best_changed(rows: Rows, name: str, **changes) -> Rows:
    assert any(row["run"] == name for row in rows)
    return [{**row, **changes} if row["run"] == name else row for row in rows]


def shorter(rows: Rows) -> Rows:
    more = {"schedule.warmup_steps": 24}  # the same share
    return with_changes(rows, "signum", steps=80, tokens=80 * 256, more=more)


def absolute_floor(rows: Rows) -> Rows:
    return [{**row, "settings": {**row["settings"], "schedule.floor_lr": 1e-5}} for row in rows]


def confounded(rows: Rows) -> Rows:
    """Small rates with one warm-up, large ones with another, for both methods."""
    return [
        {**row, "settings": {**row["settings"], "schedule.warmup_steps": steps}}
        for row in rows
        for steps in [30 if row["lr"] < 3e-3 else 10]
    ]


def on_an_edge(rows: Rows) -> Rows:
    best = (4e-3, 0.95)
    own = [row for row in rows if row["method"] != "adam"]
    return [*own, *grid("adam", best=best), *judged("adam", best=best)]


def lone_survivor(rows: Rows) -> Rows:
    kept = ["adam-0.002-0.95", *(f"adam-seed-{seed}" for seed in FRESH)]
    return [
        {**row, "loss": math.inf, "perplexity": math.inf, "diverged": True}
        if row["method"] == "adam" and row["lr"] >= 2e-3 and row["run"] not in kept
        else row
        for row in rows
    ]


def imported(rows: Rows, **changes) -> Rows:
    """Both methods as two released files, each cell once."""
    own = [row for row in rows if row["seed"] == 0]
    adam = [row for row in own if row["method"] == "adam"]
    signum = [row for row in own if row["method"] == "signum"]
    return [*released(adam, **changes), *released(signum, SIGNUM, **changes)]


def sentinel(rows: Rows) -> Rows:
    told = {"loss": math.inf, "perplexity": math.inf, "diverged": True}
    made = imported(rows)
    return [{**row, **told, "reported": {"final_perplexity": 57971.97}} if row["row"] == 0 else row
            for row in made]  # fmt: skip


def per_device(rows: Rows) -> Rows:
    name = "Adam_410M_SP_SL2048_8Btok_BS512"
    tokens = 7800 * 512 * 2048
    return released(rows[:9], name, model="410M", batch_size=512, steps=7800, tokens=tokens,
                    reported={"batch_size": 64.0})  # fmt: skip


PLANTED: dict[str, Callable[[Rows], Rows]] = {
    "unequal-tokens": shorter,
    "changed-between-methods": lambda rows: with_changes(rows, "signum", weight_decay=0.0),
    "changed-within-a-method": confounded,
    "schedule-floor": absolute_floor,
    "same-method": lambda rows: [*rows, *sgd_twice()],
    "unequal-trials": lambda rows: [*rows, *grid("adam", lrs=[5e-4])],
    "optimum-on-an-edge": on_an_edge,
    "isolated-optimum": lone_survivor,
    "few-seeds": lambda rows: [row for row in rows if row["run"] != "adam-seed-103"
                               and row["run"] != "adam-seed-102"],
    "tuned-on-its-judges": lambda rows: [{**row, "run": f"{row['run']}-{seed}", "seed": seed}
                                         for row in rows if row["seed"] == 0 for seed in FRESH],
    "sentinel-values": sentinel,
    "duplicated-cell": lambda rows: [*imported(rows), {**imported(rows)[0], "run": "again"}],
    "equal-curves": lambda rows: [{**row, "curve": "same"} if row["row"] < 2 else row
                                  for row in imported(rows)],
    "budget-name": lambda rows: imported(rows, steps=4800, tokens=4800 * 256 * 2048),
    "batch-name": per_device,
    "no-result": lambda rows: best_changed(rows, "adam-0.001-0.9", state="failed",
                                           reason="out of memory", loss=math.nan),
    "inexact-resume": lambda rows: best_changed(rows, "adam-0.001-0.9", inexact_since=50),
    "missing-cells": lambda rows: imported(rows)[1:],
    "not-on-record": imported,
}  # fmt: skip


def sgd_twice() -> Rows:
    """What clipping coordinates to 1 cannot change, and yet is told apart."""
    return [
        {**row, "coordinate_clip": math.inf if clip == "none" else clip,
         "settings": {**row["settings"], "optimizer.method": "sgd", "optimizer.clip_norm": 1.0,
                      "optimizer.coordinate_clip": clip}}
        for name, clip, floor in (("sgd+Gclip", "none", 3.2), ("sgd+Cclip", 1.0, 3.3))
        for row in [*grid(name, floor=floor), *judged(name, floor=floor)]
    ]  # fmt: skip


@cache
def planted(check: str) -> list[Finding]:
    """All that is found where the fault of a check is planted."""
    return findings(PLANTED[check](fair()))
