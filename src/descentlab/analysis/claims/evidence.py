"""The runs of one scale, and what claims ask of them: grids, tuned methods, other conditions.

Runs can be compared if they differ in nothing but the optimizer and the seed. What they share
is a condition; a scale has a main one, where methods meet, and may have others, such as another
batch size. A method is tuned on the seed that most of its settings ran with, and judged on others,
since the best of many settings is partly lucky. Where there are no others, its seed noise has to be
known from elsewhere, or there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from descentlab.analysis.claims.finding import LackingEvidence
from descentlab.analysis.claims.seed_noise import SeedNoise
from descentlab.analysis.comparison import Contender
from descentlab.analysis.frame import CONDITIONS
from descentlab.config import canonical_json

CONDITION = (*CONDITIONS, "steps")
"""The columns that runs must share; and ``conditions``, the rest of their settings."""
VARIANT = ("eps", "init", "bias_correction")
"""Conventions of a method. Unless a claim is about them, its most frequent ones are taken."""
SETTING = ("lr", "beta1", "beta2", "weight_decay", "clip_norm", "coordinate_clip", "variance")
"""What is tuned."""
NO_SEED = -1
"""Stands for a seed that is not on record."""
RELATIVE = "optimizer.relative."
"""Settings that a constant variance has for each tensor."""
HAVE_COLUMNS = (
    *("optimizer", "seed", "data", "execution", "model", "probes", "precision", "sequence_length"),
    *("training.batch_size", "training.steps", "schedule.floor_lr", "schedule.warmup_steps"),
)
"""Settings, or tables of them, that ``conditions`` need not repeat as they are."""

CLIPPED = ("sgd+Gclip", "sgd+Cclip")
UNMOVED = ("emasign", "signsgd")
"""Methods that clipping the norm cannot change."""
CONSTANT, PER_TENSOR = "constant σ²", "constant σ² per tensor"
MOLLIFIED, WITH_MOMENTUM = "mollified signum", "signum with β > 0"
"""Methods that a label alone does not tell."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The runs of one scale."""

    name: str
    """For people, as in ``laptop, 0.33M tokens``."""
    runs: pd.DataFrame
    """From ``prepared``, of all conditions."""
    condition: Mapping[str, Any]
    """The main one, by column."""
    noise: Mapping[str, SeedNoise] = field(default_factory=dict)
    """Of methods that ran with one seed."""
    unequal_budgets: bool = False
    """Whether a method without runs of the main budget may be judged by those of another."""
    curves: Callable[[Sequence[str]], pd.DataFrame] | None = None
    """Reads the curves of runs, as ``load_curves`` does."""
    ours: bool = False
    """Whether its runs were trained in our stores."""
    contest: str = ""
    """The scale of ``descent reproduce`` that trains such runs, if there is one."""
    settle: str = "train {needs}"
    """How to get the runs that a claim needs here, where no contest trains them."""

    def at(self, **changes: Any) -> Evidence:
        """The same runs with another main condition."""
        return replace(self, condition={**self.condition, **changes})

    def grid(self, method: str, **variant: Any) -> pd.DataFrame:
        """The runs of a method at the main condition, of its usual conventions unless told others.

        Args:
            method: a label of the table of runs, or one of this file's.
            variant: values of columns, as in ``eps=1e-3``.

        Raises:
            LackingEvidence: if there are none.
        """
        runs = self._of(method)
        here = _where(runs, self.condition)
        if here.empty and self.unequal_budgets:
            here = _where(runs, {k: v for k, v in self.condition.items() if k != "steps"})
            here = here[here["steps"] == here["steps"].max()] if len(here) else here
        if variant:
            here = _where(here, variant)
        elif len(here):
            here = _most_frequent(here, VARIANT)
        if here.empty:
            told = "".join(f", {name}={value}" for name, value in variant.items())
            raise LackingEvidence(f"no run of {method}{told}{self._told()}")
        return here

    def contender(self, method: str, *, called: str | None = None, **variant: Any) -> Contender:
        """A method at its best, judged on seeds that it was not tuned on, if there are any.

        Args:
            method: as for ``grid``.
            called: what people call it.
            variant: as for ``grid``.

        Raises:
            LackingEvidence: if it has no runs.
        """
        stopped = self.stopped(method)
        if variant:
            stopped = _where(stopped, variant)
        name, noise = called or method, self.noise.get(method)
        return _contender(name, self.grid(method, **variant), stopped, noise)

    def contenders(self, *methods: str) -> list[Contender]:
        """Several methods at their best, with the seeds that all have, in the same order.

        Where budgets may be unequal, the largest that all have in common is taken, if there is one.
        """
        return with_common_seeds(
            [self._at_common_budget(methods).contender(each) for each in methods]
        )

    def seed_noise(self, method: str) -> SeedNoise:
        """A method's noise over seeds: as declared, or of its settings that ran with several.

        Raises:
            LackingEvidence: if neither is there.
        """
        if method in self.noise:
            return self.noise[method]
        grouped = self.grid(method).groupby([*SETTING, *VARIANT], dropna=False)["loss"]
        variances, sizes = grouped.var(), grouped.count()
        several = (sizes > 1) & variances.map(math.isfinite)
        df = int((sizes - 1)[several].sum())
        if not df:
            raise LackingEvidence(f"no setting of {method} ran with two seeds, to tell its noise")
        variance = float((variances * (sizes - 1))[several].sum()) / df
        seeds = df + int(several.sum())
        source = f"the seed noise of {method} in {seeds} runs of this scale"
        return SeedNoise(sd=math.sqrt(variance), df=df, source=source)

    def stopped(self, method: str) -> pd.DataFrame:
        """A method's runs at this condition that were stopped before their end."""
        return _where(self._of(method, finished=False), self.condition)

    def _at_common_budget(self, methods: Sequence[str]) -> Evidence:
        if not self.unequal_budgets:
            return self
        others = {k: v for k, v in self.condition.items() if k != "steps"}
        budgets = [set(_where(self._of(each), others)["steps"]) for each in methods]
        common = set.intersection(*budgets)
        return self.at(steps=max(common)) if common else self

    def _of(self, method: str, *, finished: bool = True) -> pd.DataFrame:
        runs = self.runs[self.runs["loss"].notna() == finished]
        return runs[is_method(runs, method)]

    def _told(self) -> str:
        shown = {
            "model": "model {}", "dataset": "{}", "sequence_length": "length {}",
            "batch_size": "batch {}", "steps": "{:,} steps",
        }  # fmt: skip
        parts = [
            shown[name].format(value if isinstance(value, str) else int(value))
            for name, value in self.condition.items()
            if name in shown and value is not None and not pd.isna(value)
        ]
        return f" with {', '.join(parts)}" if parts else ""


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs of ``load`` that can be compared, with what claims need to know of each.

    Copies of a cell are left out, and runs that failed or that nobody trained; runs that were
    stopped, by racing for one, stay without a loss. Added are ``conditions``, all settings that
    a method does not decide; ``variance`` and ``per_tensor`` of a constant variance; and
    ``one_clip``, whether clipping coordinates as well made no difference.
    """
    ended = (frame["state"] == "done") & frame["loss"].notna()
    kept = (ended | (frame["state"] == "interrupted")) & frame["duplicate_of"].isna()
    runs = frame[kept].drop_duplicates(subset=["source", "run"]).copy()
    settings: list[Mapping[str, Any]] = list(runs["settings"])
    runs["conditions"] = [_conditions(each) for each in settings]
    runs["variance"] = [float(each.get("optimizer.variance", math.nan)) for each in settings]
    runs["per_tensor"] = [any(key.startswith(RELATIVE) for key in each) for each in settings]
    ours, clipped = runs["source"] == "descentlab", runs["method"].isin(CLIPPED)
    once = np.array([each.get("optimizer.coordinate_clip") == "none" for each in settings])
    runs["one_clip"] = ours & clipped & once
    runs.loc[runs["one_clip"], "coordinate_clip"] = math.inf
    runs.loc[runs["method"].isin(UNMOVED), "clip_norm"] = math.inf
    return runs


def is_method(runs: pd.DataFrame, method: str) -> pd.Series:
    """Which runs are of a method.

    SGD with dampening equal to momentum, clipped by norm, is the same with its coordinates
    clipped at that norm; our own runs are stored once for both.
    """
    label = runs["method"]
    constant = label == "constant_variance"
    mollified = (label == "signum") & (runs["eps"] > 0)
    sign = (runs["beta1"] == 0) & ~(runs["beta2"] > 0) & ~mollified & ~constant
    if method in CLIPPED:
        return (label == method) | (label.isin(CLIPPED) & runs["one_clip"])
    known = {
        "signum": (label == "signum") & ~mollified,
        WITH_MOMENTUM: (label == "signum") & ~mollified & ~sign,
        MOLLIFIED: mollified,
        "signsgd": label.isin(["signsgd", "signum", "emasign", "adam"]) & sign,
        CONSTANT: constant & ~runs["per_tensor"],
        PER_TENSOR: constant & runs["per_tensor"],
    }
    return known.get(method, label == method)


def with_common_seeds(contenders: Sequence[Contender]) -> list[Contender]:
    """The same contenders with the losses of the seeds that all of them ran with.

    Single runs whose noise is known stay as they are.

    Raises:
        LackingEvidence: if they share none.
    """
    if all(each.noise for each in contenders):
        return list(contenders)
    common = sorted(set.intersection(*(set(each.seeds) for each in contenders)))
    if not common:
        names = " and ".join(each.name for each in contenders)
        raise LackingEvidence(f"{names} have no seed in common that they were not tuned on")
    return [
        replace(
            each,
            seeds=tuple(common),
            losses=[each.losses[each.seeds.index(seed)] for seed in common],
        )
        for each in contenders
    ]


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per setting with its ``loss``, the mean over seeds; infinite if a run diverged."""
    grouped = runs.groupby([*SETTING, *VARIANT], dropna=False, sort=True)
    return grouped["loss"].mean().reset_index()


def on_tuning_seed(runs: pd.DataFrame) -> pd.DataFrame:
    """Of a method's runs those with the seed that most of them have; the smallest of several."""
    seeds = runs["seed"].fillna(NO_SEED).to_numpy(dtype=np.int64)
    return runs[seeds == _most_common(seeds)]


def _contender(
    name: str, runs: pd.DataFrame, stopped: pd.DataFrame, noise: SeedNoise | None
) -> Contender:
    """A method at its best; runs that were stopped were tried, though they cannot be the best."""
    runs = runs.assign(seed=runs["seed"].fillna(NO_SEED).astype(int)).sort_values(["seed", "run"])
    cell = runs.groupby([*SETTING, *VARIANT], dropna=False, sort=False).ngroup().to_numpy()
    seeds, losses = runs["seed"].to_numpy(), runs["loss"].to_numpy(dtype=float)
    several = len(set(cell)) > 1
    tuned_on = seeds == _most_common(seeds) if several else np.ones(len(seeds), dtype=bool)
    best = int(np.where(tuned_on, losses, math.inf).argmin()) if several else 0
    fresh = (cell == cell[best]) & ~tuned_on if several else tuned_on
    judged = runs[fresh] if fresh.any() else runs.iloc[[best]]
    judged = judged.drop_duplicates("seed")
    alone = len(judged) == 1
    tried, top = runs[tuned_on], runs.iloc[best]
    rates = {*tried["lr"], *stopped["lr"]}
    caveats = _caveats(name, tried, top, _edges(rates, top["lr"]))
    if several and not fresh.any() and noise is None:
        caveats += (f"{name} was judged on the run that it was chosen by",)
    return Contender(
        name=name,
        best={each: float(top[each]) for each in ("lr", "beta1", "beta2") if pd.notna(top[each])},
        losses=[float(each) for each in judged["loss"]],
        seeds=tuple(int(each) for each in judged["seed"]),
        trials=len(set(cell)) + len(stopped),
        diverged=int(runs["diverged"].sum()),
        runs=len(runs) + len(stopped),
        edges=_edges(rates, top["lr"]),
        choice=[float(each) for each in tried["loss"]] if alone else [],
        noise=noise if alone else None,
        steps=int(top["steps"]),
        run_ids=tuple(judged["run"]),
        caveats=caveats,
    )


def _most_common(seeds: NDArray[np.int64]) -> int:
    """The smallest of those that occur most often."""
    values, counts = np.unique(seeds, return_counts=True)
    return int(values[counts.argmax()])


def _caveats(
    name: str, tried: pd.DataFrame, top: pd.Series, edges: Sequence[str]
) -> tuple[str, ...]:
    found = [f"{name}'s best lr, {top['lr']:g}, is the {end}" for end in edges]
    alike = tried[tried["lr"] == top["lr"]]
    survivors = int((~alike["diverged"]).sum())
    if len(alike) > 1 and survivors == 1 and math.isfinite(top["loss"]):
        found.append(f"of {name}'s {len(alike)} runs at that lr it alone did not diverge")
    return tuple(found)


def _edges(rates: set[float], best: float) -> list[str]:
    if len(rates) < 3:
        return []
    ends = {min(rates): "smallest tried", max(rates): "largest tried"}
    return [ends[best]] if best in ends else []


def _conditions(settings: Mapping[str, Any]) -> str:
    rest = {
        key: value
        for key, value in settings.items()
        if key not in HAVE_COLUMNS and key.split(".")[0] not in HAVE_COLUMNS
    }
    if "schedule.warmup_steps" in settings:  # a share, since it moves with the budget
        share = settings["schedule.warmup_steps"] / settings["training.steps"]
        rest["warmup"] = round(share, 3)
    return canonical_json(rest).decode() if rest else ""


def _where(runs: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    chosen = pd.Series(data=True, index=runs.index)
    for name, value in wanted.items():
        if value is None or (not isinstance(value, str) and pd.isna(value)):
            chosen &= runs[name].isna()
        else:
            chosen &= (runs[name] == value).fillna(value=False).astype(bool)
    return runs[chosen]


def _most_frequent(runs: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    groups = runs.groupby(list(columns), dropna=False, sort=True)
    return groups.get_group(groups.size().idxmax())
