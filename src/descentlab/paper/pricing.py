"""What a table, figure or experiment of the paper asks for: its runs, before any is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from descentlab.contests.contest import TUNING_SEED, Design
from descentlab.model.spec import ModelSpec
from descentlab.paper import constant_variance, table1
from descentlab.paper.published import A100_HOURS
from descentlab.paper.reproduction import Part, planned
from descentlab.paper.scales import Scale
from descentlab.paper.wanted import Wanted
from descentlab.runs.identity import Run
from descentlab.sweep.study import Method, Study
from descentlab.train.plan import Resolver

QUOTED = "bfloat16-autocast"
"""The precision of the runs whose hours the paper tells."""


@dataclass(frozen=True, kw_only=True)
class Priced:
    """The runs of one experiment."""

    key: str
    title: str
    points: int
    runs: dict[str, Run]
    """Of the grids, by id."""
    fresh: Sequence[Run]
    """As many as best settings and fresh seeds will ask for; which settings is not yet known."""
    contest: bool = False


def priced(asked: Wanted, scale: Scale, resolve: Resolver, seeds: int) -> list[Priced]:
    """The runs of everything that is asked for.

    Args:
        asked: what is.
        scale: how large.
        resolve: turns settings into runs.
        seeds: that best settings run with.

    Raises:
        ConfigError: for settings that are not allowed.
        DataError: if tokens do not suit a run.
    """
    found = [_priced(part, resolve, seeds * part.judged) for part in asked.parts]
    for contest in asked.contests:
        design = {"table1": table1.design, "constant-variance": constant_variance.design}
        study = starting_grid(design[contest.contest](scale.name))
        part = Part(experiment=contest, studies=[study])
        found.append(_priced(part, resolve, seeds, contest=True))
    return found


def _priced(part: Part, resolve: Resolver, seeds: int, *, contest: bool = False) -> Priced:
    plan = planned(part, resolve)
    first: dict[tuple[str, str | None], Run] = {}
    for study, point, run in plan.points:
        first.setdefault((study.name, point.method), run)
    return Priced(
        key=part.experiment.key,
        title=part.experiment.title,
        points=len(plan.points),
        runs=plan.runs,
        fresh=[run for run, _ in product(first.values(), range(seeds))],
        contest=contest,
    )


def starting_grid(design: Design) -> Study:
    """The grids that a contest starts with, as a study; what extends them is not yet known."""
    methods = {
        name: Method(
            optimizer=dict(entry.optimizer),
            axes={f"optimizer.{axis.name}": list(axis.values) for axis in entry.axes},
        )
        for name, entry in design.entries.items()
    }
    return Study(name=design.name, run=dict(design.run), methods=methods, seeds=[TUNING_SEED])


def a100_hours(run: Run) -> float | None:
    """What a run takes on A100s by the paper's own hours, in proportion to tokens and operations.

    The nearer of its two models is taken: the quoted hours, times the ratio of floating-point
    operations. None for runs that compute in another precision.
    """
    if run.settings["precision"] != QUOTED:
        return None
    model, length = ModelSpec(**run.settings["model"]), run.settings["data"]["sequence_length"]
    operations = run.tokens * model.training_flops(length)
    quoted = min(A100_HOURS, key=lambda each: abs(each.model.parameters - model.parameters))
    whole = quoted.tokens * quoted.model.training_flops(quoted.sequence_length)
    if model == quoted.model and length == quoted.sequence_length:
        return quoted.hours * run.tokens / quoted.tokens
    return quoted.hours * operations / whole
