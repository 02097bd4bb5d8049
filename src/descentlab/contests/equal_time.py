"""The winners of a contest once more, each with as many steps as the fastest's time allows.

Methods meet with equal tokens. One whose step takes longer gets more time then; here it gets fewer
steps instead, with its best setting, a schedule of that length and the same fresh seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from descentlab.analysis.comparison import Contender
from descentlab.contests.contest import Design, Laboratory, Stage, Standing, loss_of
from descentlab.runs.identity import Run
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.runs.studies import Studies

SLOWER = 1.03
"""Times the fastest's step; what is less may be chance."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long a winner's steps take, and what it reaches in the fastest's time."""

    seconds: float
    """Of a step."""
    steps: int
    """That fit into the time of the fastest."""
    losses: list[float]
    """Final held-out losses with so many steps, by seed."""


def at_equal_time(
    design: Design, standing: Standing, updates: Mapping[str, float], laboratory: Laboratory
) -> dict[str, Pace]:
    """Train the slower winners again, with fewer steps.

    A step is a gradient, which costs every method the same, and an update. How long runs of the
    contest took says little of the difference: each had other company on the machine. So updates
    are timed side by side, and the gradient takes the least that any winner's steps leave for it.
    What was timed first is on record in the store, and holds when the command is given again.

    Args:
        design: of the contest.
        standing: how it ended.
        updates: seconds of an update, by method.
        laboratory: trains.

    Returns:
        By method; nothing where the time of no winner's steps is on record.
    """
    name = f"{design.name}-time"
    seconds = _on_record(laboratory.store, name, set(updates)) or _seconds(
        standing, updates, laboratory.store
    )
    if not seconds:
        return {}
    fastest, whole = min(seconds.values()), int(design.run["training"]["steps"])
    steps = {
        name: whole if each <= SLOWER * fastest else max(1, int(whole * fastest / each))
        for name, each in seconds.items()
    }
    losses = {each.name: each.losses for each in standing.contenders}
    slower = [each for each in standing.contenders if steps[each.name] < whole]
    losses |= _trained(design, slower, steps, seconds, laboratory)
    return {
        name: Pace(seconds=seconds[name], steps=steps[name], losses=losses[name])
        for name in seconds
    }


def _seconds(standing: Standing, updates: Mapping[str, float], store: Store) -> dict[str, float]:
    """A step of each: the gradient's time, and its own update's."""
    whole = {name: step_seconds(store, run_ids) for name, run_ids in standing.winners.items()}
    left = [each - updates[name] for name, each in whole.items() if each and name in updates]
    gradient = max(0.0, min(left, default=0.0))
    return {name: gradient + update for name, update in updates.items()} if left else {}


def _on_record(store: Store, name: str, methods: set[str]) -> dict[str, float]:
    """The times that an earlier command put down, if it did for all methods."""
    versions = Studies(store.studies, store.aside).versions(name)
    found = versions[-1].get("seconds", {}) if versions else {}
    return found if found.keys() == methods else {}


def _trained(
    design: Design,
    slower: Sequence[Contender],
    steps: Mapping[str, int],
    seconds: Mapping[str, float],
    laboratory: Laboratory,
) -> dict[str, list[float]]:
    runs: dict[str, list[Run]] = {}
    labels: dict[str, str] = {}
    for each in slower:
        for seed in laboratory.seeds:
            settings = design.settings(each.name, each.best, seed)
            settings["training"] = {**settings["training"], "steps": steps[each.name]}
            run = laboratory.resolve(settings, f"{design.name}, {each.name}")
            runs.setdefault(each.name, []).append(run)
            labels[run.run_id] = f"{each.name} {steps[each.name]} steps, seed={seed}"
    if not runs:
        return {}
    listed = [
        {"method": name, "seed": seed, "run_id": run.run_id}
        for name, own in runs.items()
        for seed, run in zip(laboratory.seeds, own, strict=True)
    ]
    name = f"{design.name}-time"
    content = {"experiment": name, "stage": "time", "seconds": dict(seconds), "runs": listed}
    laboratory.store.register_study(name, content)
    unique = list({run.run_id: run for own in runs.values() for run in own}.values())
    results = laboratory.execute(Stage(name="equal time", runs=unique, labels=labels))
    return {name: [loss_of(results[run.run_id]) for run in own] for name, own in runs.items()}


def step_seconds(store: Store, run_ids: Sequence[str]) -> float | None:
    """Median time of a step of finished runs; None if it is not on record."""
    found: list[float] = []
    for run_id in run_ids:
        attempt = store.latest_attempt(run_id)
        records = read_records(attempt.timing).records if attempt is not None else []
        times = [record["seconds"] for record in records if "seconds" in record]
        found += [statistics.median(times)] if times else []
    return statistics.median(found) if found else None
