"""``descent plan`` for what ``descent reproduce`` knows by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from descentlab.errors import ConfigError

if TYPE_CHECKING:
    from descentlab.paper.pricing import Priced
    from descentlab.runs.identity import Run
    from descentlab.train.pace import Pace
    from descentlab.train.plan import RunResolver

SEEDS = 3
"""That best settings run with, as by default."""
QUOTE = (
    "by the paper's 5.83 h for a 160M run on one A100 and 4.83 h on eight for one of 410M, in "
    "proportion to tokens and operations"
)


def is_name(study: Path) -> bool:
    """Whether a plan is asked for by a name, not a file."""
    return not study.suffix and len(study.parts) == 1 and not study.is_file()


def plan_named(name: str, scale: str, store: Path, workers: int, measure: bool) -> None:
    """Print what a table, figure or experiment takes at a scale.

    Raises:
        ConfigError: for a name that neither the paper nor a file has.
    """
    from descentlab.cli.plan import paces_of
    from descentlab.cli.progress import Screen
    from descentlab.paper.pricing import a100_hours, priced
    from descentlab.paper.scales import SCALES
    from descentlab.paper.wanted import wanted
    from descentlab.runs.store import Store
    from descentlab.train.plan import resolver

    screen, chosen = Screen(), SCALES[scale]
    try:
        asked = wanted(name, chosen)
    except ConfigError as error:
        raise ConfigError(f"{error}; nor is there a file {name}") from None
    resolve = resolver(notice=screen.tell, absent_too=True)
    entries = priced(asked, chosen, resolve, SEEDS)
    opened = Store(store) if store.exists() else None
    there = set(opened.run_ids()) if opened else set()
    runs = {run_id: run for each in entries for run_id, run in each.runs.items()}
    done = {
        run_id
        for run_id in runs.keys() & there
        if opened is not None and opened.status(run_id).state == "done"
    }
    fresh = [run for each in entries for run in each.fresh]
    todo = [run for run_id, run in runs.items() if run_id not in done] + fresh
    print("\n".join(_heading(asked.name, scale, entries, runs, done)))
    if todo:
        quotable = [run for run in todo if a100_hours(run) is not None]
        paces = paces_of(runs, quotable, opened, there, False, screen) if quotable else {}
        quoted, others = _split(todo, paces)
        if others:
            paces |= paces_of(runs, others, opened, there, measure, screen)
        print("\n".join(_costs(todo, quoted, others, paces, resolve, workers)))
    print("\n".join(_notes(entries, resolve, chosen.prepare)))


def _heading(
    name: str, scale: str, entries: Sequence[Priced], runs: Mapping[str, Run], done: set[str]
) -> list[str]:
    """One row for each experiment."""
    from descentlab.cli.plan import tokens_of
    from descentlab.cli.table import aligned

    header = ["experiment", "points", "runs", "new", "fresh seeds", "done", "tokens"]
    rows, seen = [], set[str]()
    for each in entries:
        new = each.runs.keys() - seen
        seen |= each.runs.keys()
        rows.append(
            [
                f"{each.key}: {each.title}",
                f"{each.points:,}",
                f"{len(each.runs):,}",
                f"{len(new):,}",
                f"{len(each.fresh):,}",
                f"{len(done & each.runs.keys()):,}",
                tokens_of([*each.runs.values(), *each.fresh]),
            ]
        )
    if not rows:
        return [f"{name} at scale {scale}: no runs; it is computed in seconds"]
    points = sum(each.points for each in entries)
    total = f"{name} at scale {scale}: {len(runs):,} runs"
    if points > len(runs):
        total += f", which are {points:,} points: equal ones are trained once"
    return [total, "", aligned(header, rows)]


def _split(
    todo: Sequence[Run], paces: Mapping[str, Pace | str]
) -> tuple[list[tuple[Run, float]], list[Run]]:
    """Runs with their A100 hours by the paper's quote, and those whose time is known better."""
    from descentlab.paper.pricing import a100_hours
    from descentlab.train.pace import kind

    quoted, others = [], []
    for run in todo:
        hours = a100_hours(run)
        if hours is None or not isinstance(paces.get(kind(run.settings), ""), str):
            others.append(run)
        else:
            quoted.append((run, hours))
    return quoted, others


def _costs(
    todo: Sequence[Run],
    quoted: Sequence[tuple[Run, float]],
    others: Sequence[Run],
    paces: Mapping[str, Pace | str],
    resolve: RunResolver,
    workers: int,
) -> list[str]:
    from descentlab.cli.plan import tokens_of
    from descentlab.cli.progress import duration
    from descentlab.sweep.costs import time_on_workers
    from descentlab.train.pace import kind

    lines = ["", f"to train: {len(todo):,} runs, {tokens_of(todo)} tokens"]
    if quoted:
        hours = sum(each for _, each in quoted)
        lines.append(f"price:    about {hours:,.0f} A100-hours {QUOTE}")
    known: list[float] = []
    reasons: Counter[str] = Counter()
    for run in others:
        pace = paces[kind(run.settings)]
        if isinstance(pace, str):
            reasons[pace] += 1
        else:
            known.append(pace.seconds(run.settings, resolve.held_out_tokens(run)))
    if known:
        at_once = min(workers, len(known))
        total = duration(time_on_workers(known, at_once))
        of = f" for {len(known):,} of them" if reasons else ""
        lines.append(f"time:     about {total}{of} on {at_once} worker{'s' * (at_once > 1)}")
    lines += [f"time:     unknown for {n:,} runs: {reason}" for reason, n in reasons.items()]
    return lines


def _notes(entries: Sequence[Priced], resolve: RunResolver, prepare: str) -> list[str]:
    notes = []
    if contests := [each.key for each in entries if each.contest]:
        notes.append(
            f"note: {' and '.join(contests)}: grids may be extended, and racing stops most runs "
            "early"
        )
    if resolve.absent:
        listed = " and ".join(sorted(resolve.absent))
        notes.append(f"note: {listed}: not there yet; prepare with: {prepare}")
    return ["", *notes] if notes else []
