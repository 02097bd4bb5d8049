"""Trains and draws what ``descent reproduce`` asks for at a scale."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from descentlab.cli.drawing import Steps
from descentlab.cli.progress import Screen, duration
from descentlab.errors import DescentError, FailedRuns, Interrupted

if TYPE_CHECKING:
    import pandas as pd

    from descentlab.analysis.selection import Setting
    from descentlab.contests.contest import Laboratory
    from descentlab.contests.report import Report
    from descentlab.paper.experiments import Experiment
    from descentlab.paper.gallery import Piece
    from descentlab.paper.reproduction import Outcome
    from descentlab.paper.scales import Scale
    from descentlab.paper.wanted import Wanted


def hold_alone(
    experiment: Experiment, scale: str, laboratory: Laboratory, out: Path, screen: Screen
) -> None:
    """Hold one contest, write its table and figures into a folder, and print the table."""
    from descentlab.contests.report import write

    began = time.monotonic()
    report = holder(experiment.contest)(scale, laboratory)
    print(write(report, laboratory.store, out, laboratory.warn))
    screen.tell(f"written to {out}; took {duration(time.monotonic() - began)}")


def reproduce_wanted(
    asked: Wanted, scale: Scale, laboratory: Laboratory, out: Path, screen: Screen
) -> None:
    """Train all that is asked for, draw it, judge the claims, and print the page on it.

    Raises:
        FailedRuns: if an experiment failed, after everything else is done.
        StorageError: if the folder cannot be written.
    """
    from descentlab.analysis.frame import load
    from descentlab.paper.reproduction import Reproduction
    from descentlab.paper.summary import Summary, verdicts, write
    from descentlab.storage import storage_errors

    began = time.monotonic()
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    outcomes = Reproduction(asked.parts, laboratory).train()
    outcomes += [_contest(each, scale, laboratory, out) for each in asked.contests]
    loaded = load(laboratory.store)
    pieces, undrawn = _draw(asked, scale, outcomes, laboratory, loaded, out, screen)
    summary = Summary(
        name=asked.name,
        scale=scale,
        outcomes=outcomes,
        verdicts=verdicts(outcomes, laboratory.store, loaded),
        pieces=pieces,
        undrawn=undrawn,
        seconds=time.monotonic() - began,
    )
    with storage_errors(out):
        text = write(summary, out)
    print(text, end="")
    took = duration(summary.seconds)
    screen.tell(f"written to {out}; start with {out / 'index.md'}; took {took}")
    if failed := [each for each in outcomes if each.failure]:
        said = "; ".join(f"{each.experiment.key}: {each.failure}" for each in failed)
        raise FailedRuns(f"{len(failed)} of {len(outcomes)} experiments failed: {said}")
    if undrawn:
        said = "; ".join(f"{title}: {why}" for title, why in undrawn.items())
        raise FailedRuns(f"not drawn: {said}")


def _contest(experiment: Experiment, scale: Scale, laboratory: Laboratory, out: Path) -> Outcome:
    """Hold a contest, and write its tables into a folder of its own."""
    from descentlab.contests.report import write
    from descentlab.paper.reproduction import Outcome, told_in

    name = experiment.contest
    outcome = Outcome(experiment=experiment)
    with told_in(outcome):
        report = holder(name)(scale.name, laboratory)
        outcome.text = write(report, laboratory.store, out / name, laboratory.warn)
        outcome.findings = report.findings
        trials = report.standing.trials
        outcome.points = len(trials)
        outcome.runs = list(dict.fromkeys(trial.run_id for trial in trials))
        outcome.count(laboratory.store)
    return outcome


def holder(contest: str) -> Callable[[str, Laboratory], Report]:
    """What holds a contest of the paper, by its name."""
    from descentlab.paper import constant_variance, table1

    return {"table1": table1.run, "constant-variance": constant_variance.run}[contest]


def _draw(
    asked: Wanted,
    scale: Scale,
    outcomes: Sequence[Outcome],
    laboratory: Laboratory,
    loaded: pd.DataFrame,
    out: Path,
    screen: Screen,
) -> tuple[list[Piece], dict[str, str]]:
    """Draw each table and figure of its experiments' runs, and of no others.

    Returns:
        What was drawn; and by title, why others could not be.
    """
    from descentlab.paper.exhibit import Computed, Material
    from descentlab.paper.gallery import Piece, drawn, save_piece
    from descentlab.storage import storage_errors

    pieces: list[Piece] = []
    undrawn: dict[str, str] = {}
    to = main_setting(scale, laboratory) if asked.parts else None
    runs = {each.experiment.key: each.runs for each in outcomes}
    with Steps(screen, "drawing", len(asked.exhibits)) as progress:
        for done, exhibit in enumerate(asked.exhibits):
            progress.show(done, len(asked.exhibits), exhibit.title)
            try:
                if isinstance(exhibit, Computed):
                    piece = Piece(exhibit, loaded.iloc[:0], exhibit.draw())
                else:
                    mine = [run for key in asked.experiments_of(exhibit.name) for run in runs[key]]
                    material = Material(laboratory.store, runs=mine, loaded=loaded, to=to)
                    piece = drawn(exhibit, material)
                with storage_errors(out):
                    save_piece(piece, out)
                pieces.append(piece)
            except Interrupted:
                raise
            except DescentError as error:
                undrawn[exhibit.title] = str(error)
    return pieces, undrawn


def main_setting(scale: Scale, laboratory: Laboratory) -> Setting:
    """The setting of Table 1 at a scale, which every figure relates to."""
    from descentlab.analysis.frame import conditions_of
    from descentlab.analysis.selection import Setting
    from descentlab.paper.table1 import METHODS

    adam = {**METHODS["adam"], **scale.best["adam"].settings}
    run = laboratory.resolve(scale.edited({"optimizer": adam}), scale.name)
    return Setting(**conditions_of(run))
