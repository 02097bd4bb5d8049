"""Candidates against one another, whole: scan, contest, equal time, cost, audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from descentlab.analysis import load
from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.kit import audited
from descentlab.analysis.audit.report import summary
from descentlab.analysis.audit.selection import of_study
from descentlab.config import digest
from descentlab.contests.candidate import Candidate
from descentlab.contests.contest import Contest, Design, Laboratory, Standing
from descentlab.contests.equal_time import Pace, at_equal_time
from descentlab.contests.scan import centre
from descentlab.contests.search_space import Grid
from descentlab.errors import ConfigError
from descentlab.optim.cost import REFERENCE, Cost, Factory, measure_made
from descentlab.optim.methods import Method
from descentlab.optim.plugins import load_factory
from descentlab.sweep.racing.racing import Rules
from descentlab.train.loop import initial_model, pick_device
from descentlab.train.spec import run_spec

ROUNDS = 10
"""Of timing optimizers' steps."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out."""

    name: str
    """Of the experiment in the store."""
    candidates: Sequence[Candidate]
    """With the learning rates that they were tuned on."""
    standing: Standing
    paces: Mapping[str, Pace]
    """By candidate; empty where times are not on record."""
    costs: Sequence[Cost]
    """The last is the reference; empty where one could not be measured."""
    audit: Sequence[Finding]
    audited: str
    """What the audit looked at, in a line."""


def design_of(
    candidates: Sequence[Candidate], run: Mapping[str, Any], rules: Rules, name: str
) -> Design:
    """The contest of candidates, named for what decides it.

    Args:
        candidates: who meet.
        run: settings that all runs share.
        rules: of the races.
        name: to begin its name with.
    """
    entries = {each.name: each.entry for each in candidates}
    said = {
        each.name: {
            "optimizer": {
                key: value for key, value in each.entry.optimizer.items() if key != "folder"
            },
            "axes": {axis.name: axis.values for axis in each.entry.axes},
            "centre": each.centre,
        }
        for each in candidates
    }
    settings = {key: value for key, value in run.items() if key != "execution"}
    whole = f"{name}-{digest([settings, said])[:8]}"
    return Design(name=whole, run=run, entries=entries, rules=rules)


def entered(design: Design, candidates: Sequence[Candidate]) -> Design:
    """The design with its candidates as they are by now."""
    return replace(design, entries={each.name: each.entry for each in candidates})


def compare(
    candidates: Sequence[Candidate],
    design: Design,
    grid: Grid,
    laboratory: Laboratory,
) -> Comparison:
    """Hold the whole comparison.

    Args:
        candidates: admitted.
        design: of their contest, from ``design_of``.
        grid: how fine a search is where nobody says otherwise.
        laboratory: trains.
    """
    centred = centre(candidates, design, grid, laboratory)
    design = entered(design, centred)
    standing = Contest(design, laboratory).run()
    costs = _costs(centred, design, standing, laboratory)
    updates = {each.optimizer: each.milliseconds / 1e3 for each in costs[:-1]}
    paces = at_equal_time(design, standing, updates, laboratory) if updates else {}
    runs = of_study(load(laboratory.store), design.name)
    evidence, findings = audited(runs)
    return Comparison(
        name=design.name,
        candidates=centred,
        standing=standing,
        paces=paces,
        costs=costs,
        audit=findings,
        audited=summary(evidence, findings),
    )


def _costs(
    candidates: Sequence[Candidate], design: Design, standing: Standing, laboratory: Laboratory
) -> list[Cost]:
    """Time the winners' updates side by side, on the tensors of the model that they trained."""
    first = candidates[0].name
    settings = design.settings(first, standing.contender(first).best, laboratory.seeds[0])
    spec = run_spec(settings, where=design.name)
    named = dict(initial_model(spec).named_parameters())
    factories: dict[str, Factory] = {
        each.name: _factory(each.method(standing.contender(each.name).best), list(named))
        for each in candidates
    }
    factories[REFERENCE] = load_factory(REFERENCE)
    shapes = [tuple(each.shape) for each in named.values()]
    threads = torch.get_num_threads()
    torch.set_num_threads(spec.execution.threads or threads)
    try:
        device = str(pick_device(spec))
        return measure_made(factories, shapes=shapes, device=device, repeats=ROUNDS)
    except ConfigError as error:
        laboratory.warn(f"no cost card: {error}")
        return []
    finally:
        torch.set_num_threads(threads)


def _factory(method: Method, names: list[str]) -> Factory:
    """Makes a method's optimizer over a model's tensors in their order."""

    def make(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        decay = method.weight_decay
        return method.build([{"params": parameters, "param_names": names, "weight_decay": decay}])

    return make
