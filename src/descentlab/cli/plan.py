"""``descent plan``: what a study asks for, what of it is there, what the rest takes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from descentlab.cli.reproduce import Scale
from descentlab.cli.sweep import Racing

if TYPE_CHECKING:
    from descentlab.cli.progress import Screen
    from descentlab.cli.study_runs import StudyRuns
    from descentlab.runs.identity import Run
    from descentlab.runs.store import Status, Store
    from descentlab.train.pace import Pace
    from descentlab.train.plan import RunResolver

VALUES_SHOWN = 8
FIRST_TIMING = 10.0
"""Seconds that timing one kind of runs is said to take, before any has been."""
DRY_RUNS = 8
"""Races on made-up losses that tell which share of the runs racing may train."""


def plan(
    study: Annotated[Path, tyro.conf.Positional],
    *,
    scale: Scale | None = None,
    store: Path = Path("store"),
    workers: int | None = None,
    cores: int = 1,
    runs: bool = False,
    measure: bool = True,
    racing: Racing = "study",
) -> None:
    """Show what a study asks for before it is trained: runs, tokens, time, memory, disk.

    A table, figure or experiment of the paper, or all, is priced by its name as for descent
    reproduce, at any scale; what the paper's own scale takes is known from its quoted A100 hours.

    It says which runs the store has already, and where the design is too weak for an answer.
    The time comes from finished runs of the store; where there are none, from a few steps that
    are timed here, once, and remembered. Nothing is written to the store.

    Args:
        study: a TOML file, or a Python file that names a Study, as for descent sweep; or a name of
            the paper's, as table1, fig2, E6 and all.
        scale: of a name of the paper's: tiny, laptop, workstation or paper; laptop by default.
        store: the folder of runs; need not be there yet.
        workers: runs at once to reckon with, by default as many as this machine's cores allow.
        cores: for each run, as for descent sweep.
        runs: list every run.
        measure: time steps where no time is known.
        racing: as for descent sweep; what it may save is said, the rest is of whole runs.
    """
    from descentlab.cli.plan_named import is_name, plan_named
    from descentlab.cli.progress import Screen
    from descentlab.cli.study_runs import study_runs
    from descentlab.errors import ConfigError
    from descentlab.processes import usable_cores
    from descentlab.runs.store import Status, Store
    from descentlab.sweep.study_file import read_study
    from descentlab.train.plan import resolver

    if workers is not None and workers < 1:
        raise ConfigError(f"workers: got {workers}; give 1 or more")
    if cores < 1:
        raise ConfigError(f"cores: got {cores}; give 1 or more")
    if is_name(study):
        plan_named(str(study), scale or "laptop", store, workers or usable_cores(), measure)
        return
    if scale is not None:
        raise ConfigError(f"--scale: {study} has settings of its own; leave it out")
    screen = Screen()
    read, resolve = read_study(study), resolver(notice=screen.tell)
    opened = Store(store) if store.exists() else None
    asked = study_runs(read, resolve, where=str(study), threads=cores)
    there = set(opened.run_ids()) if opened else set()
    states = {
        run_id: opened.status(run_id) if opened and run_id in there else Status("pending")
        for run_id in asked.runs
    }
    print("\n".join(_heading(asked, states)))
    todo = [run for run_id, run in asked.runs.items() if states[run_id].state != "done"]
    if todo:
        paces = paces_of(asked.runs, todo, opened, there, measure, screen)
        print("\n".join(_costs(todo, paces, resolve, workers or max(1, usable_cores() // cores))))
        chosen = asked.study.racing if racing == "study" else racing
        print("\n".join(_raced(asked, chosen)), end="\n" * (chosen != "none"))
    remarks = [*asked.remarks(), *_on_record(asked, opened)]
    print("\n".join([*_listed("note", remarks), *_listed("weak", _weaknesses(asked, states))]))
    if runs:
        print("\n".join(["", *_every_run(asked, states)]))


def _heading(asked: StudyRuns, states: Mapping[str, Status]) -> list[str]:
    """The name, one row for each method, and the axes."""
    from descentlab.cli.table import aligned
    from descentlab.sweep.costs import STATES

    study = asked.study
    of_method: dict[str | None, dict[str, Run]] = {}
    settings: Counter[str | None] = Counter()
    for point, run in zip(asked.points, asked.of_points, strict=True):
        of_method.setdefault(point.method, {})[run.run_id] = run
        settings[point.method] += 1
    header = ["method", "settings", "seeds", "runs", *STATES, "tokens"]
    rows = []
    for name, each in of_method.items():
        counts = Counter(states[run_id].state for run_id in each)
        seeds = len(set(study.seeds_of(name)))
        rows.append(
            [
                name or _optimizers(each.values()),
                f"{settings[name] // seeds:,}",
                str(seeds),
                f"{len(each):,}",
                *(f"{counts[state]:,}" for state in STATES),
                tokens_of(each.values()),
            ]
        )
    return [f"{study.name}: {len(asked.runs):,} runs", "", aligned(header, rows), "", *_axes(asked)]


def _axes(asked: StudyRuns) -> list[str]:
    """A line for each axis, those that all methods have once."""
    study = asked.study
    lines: dict[str, str] = {}
    for name in study.methods or [None]:
        for key, values in study.axes_of(name).items():
            lines[study.place_of(name, key)] = f"{len(values)} values: {_short(values)}"
    seeds = study.seeds_of(next(iter(study.methods), None))
    lines["seeds"] = f"{len(seeds)}: {_short(seeds)}"
    width = max(map(len, lines))
    return [f"{place:<{width}}  {line}" for place, line in lines.items()]


def _short(values: Sequence[Any]) -> str:
    """The values of an axis, those in the middle left out where they are many."""
    shown = [f"{each:g}" if isinstance(each, float) else str(each) for each in values]
    if len(shown) > VALUES_SHOWN:
        shown = [*shown[: VALUES_SHOWN - 2], "…", shown[-1]]
    return ", ".join(shown)


def paces_of(
    asked: Collection[str],
    todo: Sequence[Run],
    store: Store | None,
    there: set[str],
    measure: bool,
    screen: Screen,
) -> dict[str, Pace | str]:
    """By kind of run, how fast it goes; or why that is not known.

    Args:
        asked: the ids of the runs that are planned.
        todo: those of them without a result.
        store: where the time of finished runs is known from, if there is one.
        there: the ids of its runs.
        measure: time steps where no time is known.
        screen: to say so on.
    """
    from descentlab.cli.progress import duration
    from descentlab.train.pace import (
        finished_paces,
        longest_of_each_kind,
        remembered,
        time_steps,
    )

    kinds = longest_of_each_kind([run.settings for run in todo])
    found: dict[str, Pace | str] = {}
    if store is not None:
        known = there & set(asked)
        found |= finished_paces(store, _as_registered(store, known))
        if not kinds.keys() <= found.keys():
            found = {**finished_paces(store, _as_registered(store, there - known)), **found}
    unknown = []
    for name, settings in kinds.items():
        if name not in found and (pace := remembered(settings)) is not None:
            found[name] = pace
        elif name not in found:
            found[name] = "not timed; leave out --no-measure"
            unknown.append(name)
    began = time.monotonic()
    for place, name in enumerate(unknown if measure else ()):
        each = (time.monotonic() - began) / place if place else FIRST_TIMING
        left = duration(each * (len(unknown) - place))
        screen.tell(f"timing steps, {place + 1} of {len(unknown)} kinds of runs, {left} left")
        found[name] = time_steps(kinds[name])
    return found


def _as_registered(store: Store, run_ids: set[str]) -> dict[str, Mapping[str, Any]]:
    """What runs were to be computed with, which today may be asked for in another way.

    Damaged ones tell nothing.
    """
    from descentlab.errors import DescentError

    found: dict[str, Mapping[str, Any]] = {}
    for run_id in sorted(run_ids):
        try:
            found[run_id] = store.folder(run_id).run().settings
        except DescentError:
            continue
    return found


def _costs(
    todo: Sequence[Run], paces: Mapping[str, Pace | str], resolve: RunResolver, workers: int
) -> list[str]:
    """Tokens, time, memory and disk of the runs that have no result."""
    from descentlab.cli.contents import size
    from descentlab.cli.progress import duration
    from descentlab.sweep.costs import checkpoint_bytes, record_bytes, time_on_workers
    from descentlab.train.pace import kind

    at_once = min(workers, len(todo))
    known: list[tuple[Run, Pace]] = []
    reasons: Counter[str] = Counter()
    for run in todo:
        pace = paces[kind(run.settings)]
        if isinstance(pace, str):
            reasons[pace] += 1
        else:
            known.append((run, pace))
    lines = ["", f"to train: {len(todo):,} runs, {tokens_of(todo)} tokens"]
    if known:
        seconds = [each.seconds(run.settings, resolve.held_out_tokens(run)) for run, each in known]
        sources = ", ".join(dict.fromkeys(each.source for _, each in known))
        of = f" for {len(known):,} of them" if reasons else ""
        total = duration(time_on_workers(seconds, at_once))
        lines.append(
            f"time:     about {total}{of} on {at_once} worker{'s' * (at_once > 1)} ({sources})"
        )
    lines += [f"time:     unknown for {n:,} runs: {reason}" for reason, n in reasons.items()]
    least = max(8 * _parameters(run) for run in todo)
    memory = [each.peak_memory for _, each in known if each.peak_memory is not None]
    if len(memory) == len(todo):
        most = max(memory)
        lines.append(f"memory:   {size(most)} a run, {size(most * at_once)} for {at_once} at once")
    else:
        lines.append(f"memory:   more than {size(least)} a run, its weights and gradients")
    records = sum(record_bytes(run.settings) for run in todo)
    checkpoints = max(checkpoint_bytes(run.settings, _parameters(run)) for run in todo)
    lines.append(
        f"disk:     about {size(records)} of records; checkpoints of up to {size(checkpoints)} "
        "for each run under way"
    )
    return lines


def _raced(asked: StudyRuns, racing: str) -> list[str]:
    """Which share of all the study's runs a race may train, by dry runs."""
    from descentlab.sweep.racing.dry_run import dry_run
    from descentlab.sweep.study_race import StudyRace

    if racing == "none":
        return []
    shares = [
        dry_run([*StudyRace(asked.points, asked.of_points, racing).races.values()], seed)
        for seed in range(DRY_RUNS)
    ]
    took = " to ".join(dict.fromkeys(f"{share(shares):.0%}" for share in (min, max)))
    return [
        f"racing:   {racing} took {took} of the whole study's training on made-up losses; what it "
        "takes of yours depends on them"
    ]


def _on_record(asked: StudyRuns, store: Store | None) -> list[str]:
    """Whether the store has the study, has less of it, or refuses it."""
    from descentlab.errors import ConfigError
    from descentlab.runs.studies import Studies

    if store is None:
        return []
    studies = Studies(store.studies, store.aside)
    try:
        known = studies.check(asked.study.name, asked.record)
    except ConfigError as error:
        return [f"descent sweep will refuse this: {error}"]
    if known or not studies.versions(asked.study.name):
        return []
    if not (gained := len(asked.runs) - len(studies.runs(asked.study.name))):
        return []  # it says the same in other words, or is raced otherwise
    return [f"{gained:,} runs are new to study {asked.study.name!r}; the others stay as they are"]


def _weaknesses(asked: StudyRuns, states: Mapping[str, Status]) -> list[str]:
    """Where the design is too weak, each in a sentence."""
    from descentlab.config import flat
    from descentlab.paper.released_optima import released_optimum
    from descentlab.sweep import design

    study, points = asked.study, asked.points
    first: dict[str | None, dict[str, Any]] = {}
    for point, run in zip(points, asked.of_points, strict=True):
        if point.method not in first:
            first[point.method] = dict(flat(run.settings))
    results = [
        (point, loss)
        for point, run in zip(points, asked.of_points, strict=True)
        if (loss := _loss(states[run.run_id])) is not None
    ]
    compared = {name: each for name, each in first.items() if name is not None}
    found = [
        *design.few_seeds(study),
        *design.unequal_trials(points),
        *design.short_axes(study),
        *design.different_nuisance(study, compared),
        *design.optima_on_edges(study, results),
    ]
    for name, settings in first.items():
        if (optimum := released_optimum(settings)) is not None:
            source = "the paper's released runs"
            found += design.known_optimum_outside(study, name, optimum, source)
    return found


def _loss(status: Status) -> float | None:
    """The final loss, infinite after divergence; None without a result."""
    if status.result is None:
        return None
    loss = status.result.validation_loss
    return float("inf") if loss is None else loss


def _every_run(asked: StudyRuns, states: Mapping[str, Status]) -> list[str]:
    from descentlab.cli.runs import outcome

    width = max(map(len, asked.labels.values()))
    return [
        f"{run_id}  {label:<{width}}  {outcome(states[run_id])}"
        for run_id, label in asked.labels.items()
    ]


def _listed(word: str, sentences: Sequence[str]) -> list[str]:
    return ["", *(f"{word}: {each}" for each in sentences)] if sentences else []


def _optimizers(runs: Any) -> str:
    """What the runs of a study without methods train with."""
    names = dict.fromkeys(str(run.settings["optimizer"]["method"]) for run in runs)
    return ", ".join(names)


def _parameters(run: Run) -> int:
    from descentlab.model.spec import ModelSpec

    return ModelSpec(**run.settings["model"]).parameters


def tokens_of(runs: Iterable[Run]) -> str:
    """The tokens that runs train on, as a plan has them."""
    from descentlab.analysis.amounts import short

    return short(sum(run.tokens for run in runs))
