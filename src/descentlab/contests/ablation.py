"""Does a ranking survive the settings that nobody compares? Nuisances switched one by one.

The baseline is a contest: each method tuned, its winner run with fresh seeds. Then one setting
after the other is switched in every method that has it, all else as it was, and the winners run
again with the same seeds. A method that lacks the setting enters the ranking under the switch as it
is. With ``retune``, a switched method's learning rate is chosen anew among three.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from descentlab.analysis.claims.contenders import difference_of, lower_perplexity
from descentlab.analysis.claims.finding import Verdict
from descentlab.analysis.comparison import Contender, ranked
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.config import digest
from descentlab.contests.contest import (
    TUNING_SEED,
    Contest,
    Design,
    Laboratory,
    Stage,
    Standing,
    loss_of,
)
from descentlab.contests.verdicts import in_percent
from descentlab.runs.identity import Run
from descentlab.runs.store import Result
from descentlab.sweep.study import place
from descentlab.sweep.tuning import rounded
from descentlab.train.schedule import Schedule

Settings = Mapping[str, Any]
Changes = Mapping[str, Any]
"""New values by dotted key."""
Survival = Literal["survives", "does not", "cannot be told"]

SURVIVALS: Mapping[Verdict, Survival] = {
    "holds": "survives",
    "does not hold": "does not",
    "cannot be told": "cannot be told",
}
"""By what becomes of a claim that the baseline holds."""
ABSOLUTE_FLOOR = 1e-5
"""The paper's."""
COORDINATES = 1.0
"""The threshold of the paper's SGD with clipped coordinates."""
RETUNED = (0.5, 1.0, 2.0)
"""Multiples of the best learning rate."""


@dataclass(frozen=True)
class Switch:
    """A setting that is switched, and what that changes in a run."""

    name: str
    what: str
    """For people."""
    changes: Callable[[Settings], Changes | None]
    """From a method's run; None if it does not have the setting, or has it so already."""


def _other_start(run: Settings) -> Changes | None:
    method = run["optimizer"]["method"]
    if method in ("adam", "rmsprop"):  # a start from the gradient has no bias to correct
        return {"optimizer.init": "gradient", "optimizer.bias_correction": False}
    default = {"signum": "zero", "emasign": "zero", "sgd": "gradient"}.get(method)
    if default is None:
        return None
    now = run["optimizer"].get("init", default)
    return {"optimizer.init": "gradient" if now == "zero" else "zero"}


def _no_correction(run: Settings) -> Changes | None:
    corrected = run["optimizer"].get("bias_correction", True)
    if run["optimizer"]["method"] not in ("adam", "rmsprop") or not corrected:
        return None
    return {"optimizer.bias_correction": False}


def _other_floor(run: Settings) -> Changes | None:
    known = run.get("schedule", {})
    if known.get("floor_unit", Schedule().floor_unit) == "absolute":
        return {"schedule.floor": 0.0, "schedule.floor_unit": "fraction"}
    return {"schedule.floor": ABSOLUTE_FLOOR, "schedule.floor_unit": "absolute"}


def _no_clip(run: Settings) -> Changes | None:
    clipped = run["optimizer"].get("clip_norm", 1.0) != "none"
    return {"optimizer.clip_norm": "none"} if clipped else {"optimizer.clip_norm": 1.0}


def _coordinates(run: Settings) -> Changes | None:
    optimizer = run["optimizer"]
    if optimizer["method"] != "sgd" or optimizer.get("coordinate_clip", "none") != "none":
        return None
    return {"optimizer.clip_norm": "none", "optimizer.coordinate_clip": COORDINATES}


def _other_coupling(run: Settings) -> Changes | None:
    optimizer = run["optimizer"]
    default = 0.0 if optimizer["method"] == "sgd" else 0.1
    if optimizer["method"] == "class" or not optimizer.get("weight_decay", default):
        return None
    coupled = optimizer.get("decay", "decoupled") == "coupled"
    return {"optimizer.decay": "decoupled" if coupled else "coupled"}


def _precision(name: str) -> Callable[[Settings], Changes | None]:
    return lambda run: None if run.get("precision", "float32") == name else {"precision": name}


SWITCHES = (
    Switch("start", "averages start at zero instead of the first gradient, or the other way",
           _other_start),
    Switch("bias correction", "averages are not corrected for their start from zero",
           _no_correction),
    Switch("lr floor", "the learning rate ends at 1e-5, the same for all, instead of a share of "
           "its peak, or the other way", _other_floor),
    Switch("clip none", "gradients are not clipped, or are where they were not", _no_clip),
    Switch("clip coordinates", "coordinates are clipped after momentum, instead of the gradient's "
           "norm", _coordinates),
    Switch("decay coupling", "weight decay is part of the gradient instead of beside the step, or "
           "the other way", _other_coupling),
    Switch("bfloat16-autocast", "matrix products in bfloat16", _precision("bfloat16-autocast")),
    Switch("bfloat16", "everything but the optimizer's state in bfloat16, weights too",
           _precision("bfloat16")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a switch does to one method."""

    method: str
    losses: list[float]
    """By seed."""
    lr: float
    percent: Estimate
    """Change of perplexity, paired by seed with the baseline."""
    same_runs: bool = False
    """Whether the setting has no effect on the method, by algebra."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two methods that the baseline tells apart, under a switch."""

    better: str
    worse: str
    survival: Survival
    effect: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Switched:
    """A switch, its effects, and what becomes of the ranking."""

    switch: Switch
    effects: list[Effect]
    ranking: list[str]
    """Best mean perplexity first."""
    pairs: list[Pair]
    survival: Survival
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What came out."""

    name: str
    standing: Standing
    switched: list[Switched] = field(default_factory=list)


def ablate(
    design: Design, laboratory: Laboratory, *, retune: bool, switches: Sequence[Switch] = SWITCHES
) -> Ablation:
    """Hold the contest, then switch one setting after the other.

    Args:
        design: of the baseline.
        laboratory: trains; a baseline that its store has is not trained again.
        retune: choose each switched method's learning rate anew.
        switches: what to switch; those that no method has are left out.
    """
    standing = Contest(design, laboratory).run()
    work = _Work(design, standing, laboratory)
    lrs = work.retuned(switches) if retune else {}
    runs = work.planned(switches, lrs)
    results = work.train("switches", runs)
    has = [each for each in switches if any(name == each.name for name, _ in runs)]
    switched = [_switched(each, standing, runs, results, lrs) for each in has]
    return Ablation(name=design.name, standing=standing, switched=switched)


Key = tuple[str, str]
"""A switch and a method."""


class _Work:
    """Plans and trains what an ablation asks for."""

    def __init__(self, design: Design, standing: Standing, laboratory: Laboratory) -> None:
        self._design = design
        self._laboratory = laboratory
        self._best = {each.name: each.best for each in standing.contenders}

    def retuned(self, switches: Sequence[Switch]) -> dict[Key, float]:
        """The best of three learning rates around each method's own, under each switch."""
        runs = {
            (switch.name, name, rounded(factor * best["lr"])): self._run(
                switch, name, {**best, "lr": rounded(factor * best["lr"])}, TUNING_SEED
            )
            for switch in switches
            for name, best in self._best.items()
            for factor in RETUNED
        }
        asked = {key: [run] for key, run in runs.items() if run is not None}
        results = self.train("retuning", asked)
        found: dict[Key, tuple[float, float]] = {}
        for (switch, name, lr), (run,) in asked.items():
            loss = loss_of(results[run.run_id])
            found[switch, name] = min(found.get((switch, name), (loss, lr)), (loss, lr))
        return {key: lr for key, (_, lr) in found.items()}

    def planned(self, switches: Sequence[Switch], lrs: Mapping[Key, float]) -> dict[Key, list[Run]]:
        """The runs with fresh seeds, of every method that has a setting to switch."""
        found: dict[Key, list[Run]] = {}
        for switch in switches:
            for name, best in self._best.items():
                tuned = {**best, "lr": lrs.get((switch.name, name), best["lr"])}
                own = [self._run(switch, name, tuned, seed) for seed in self._laboratory.seeds]
                runs = [run for run in own if run is not None]
                if runs:
                    found[switch.name, name] = runs
        return found

    def train(self, stage: str, runs: Mapping[Any, list[Run]]) -> Mapping[str, Result]:
        """Put runs on record, as an experiment of their own, and train them."""
        unique = {run.run_id: run for own in runs.values() for run in own}
        if not unique:
            return {}
        listed = [
            {"method": f"{key[1]}, {key[0]} switched", "run_id": run.run_id}
            for key, own in runs.items()
            for run in own
        ]
        name = f"{self._design.name}-{stage}"
        content = {"experiment": name, "stage": stage, "runs": listed}
        self._laboratory.store.register_study(f"{name}-{digest(content)[:8]}", content)
        labels = {
            run.run_id: f"{key[1]}, {key[0]}, seed={run.identity['seed']}"
            for key, own in runs.items()
            for run in own
        }
        return self._laboratory.execute(
            Stage(name=stage, runs=list(unique.values()), labels=labels)
        )

    def _run(self, switch: Switch, name: str, tuned: Mapping[str, float], seed: int) -> Run | None:
        settings = self._design.settings(name, tuned, seed)
        changes = switch.changes(settings)
        if changes is None:
            return None
        where = f"{self._design.name}, {name}, {switch.name}"
        return self._laboratory.resolve(place(settings, changes), where)


def _switched(
    switch: Switch,
    standing: Standing,
    runs: Mapping[Key, list[Run]],
    results: Mapping[str, Result],
    lrs: Mapping[Key, float],
) -> Switched:
    effects: list[Effect] = []
    now: list[Contender] = []
    for base in standing.contenders:
        own = runs.get((switch.name, base.name))
        if own is None:
            now.append(base)
            continue
        losses = [loss_of(results[run.run_id]) for run in own]
        lr = lrs.get((switch.name, base.name), base.best["lr"])
        run_ids = [run.run_id for run in own]
        changed = _contender(base, {**base.best, "lr": lr}, losses)
        now.append(changed)
        effects.append(
            Effect(
                method=base.name,
                losses=losses,
                lr=lr,
                percent=in_percent(difference_of(changed, base)),
                same_runs=run_ids == standing.winners[base.name],
            )
        )
    pairs = _pairs(standing.contenders, {each.name: each for each in now})
    survival, reason = _survival(pairs)
    return Switched(
        switch=switch,
        effects=effects,
        ranking=[each.name for each in ranked(now)],
        pairs=pairs,
        survival=survival,
        reason=reason,
    )


def _contender(base: Contender, best: Mapping[str, float], losses: list[float]) -> Contender:
    return Contender(
        name=base.name,
        best=best,
        losses=losses,
        trials=base.trials,
        diverged=sum(loss == float("inf") for loss in losses),
        runs=len(losses),
        edges=[],
    )


def _pairs(before: Sequence[Contender], now: Mapping[str, Contender]) -> list[Pair]:
    """What becomes of every two neighbours of the baseline's ranking that it tells apart."""
    found: list[Pair] = []
    order = ranked([each for each in before if each.same_as is None])
    for better, worse in itertools.pairwise(order):
        claim = f"{better.name} below {worse.name}"
        if lower_perplexity(claim, better, worse).verdict != "holds":
            continue
        finding = lower_perplexity(claim, now[better.name], now[worse.name])
        pair = Pair(
            better=better.name,
            worse=worse.name,
            survival=SURVIVALS[finding.verdict],
            effect=finding.effect,
            reason=finding.reason,
        )
        found.append(pair)
    return found


def _survival(pairs: Sequence[Pair]) -> tuple[Survival, str]:
    """The weakest verdict of all pairs, and why."""
    if not pairs:
        return "cannot be told", "the baseline tells no two neighbours apart"
    weakest_first: tuple[Survival, ...] = ("does not", "cannot be told")
    for verdict in weakest_first:
        of = [f"{each.better} below {each.worse}" for each in pairs if each.survival == verdict]
        if of:
            return verdict, ", ".join(of)
    return "survives", ""
