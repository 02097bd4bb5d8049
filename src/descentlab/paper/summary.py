"""The page on a reproduction: each experiment with its runs and verdicts, and what was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from descentlab.analysis.claims.finding import Finding, markdown
from descentlab.analysis.claims.ledger import Claim, Ledger
from descentlab.analysis.comparison import aligned
from descentlab.analysis.markdown import escaped
from descentlab.errors import ConfigError
from descentlab.paper.claims import judged
from descentlab.paper.gallery import Piece, entry, headline_table
from descentlab.paper.reproduction import Outcome
from descentlab.paper.scales import Scale
from descentlab.runs.store import Store

VERDICTS = ("holds", "does not hold", "cannot be told")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a command found."""

    name: str
    """Of what was asked for."""
    scale: Scale
    outcomes: Sequence[Outcome]
    verdicts: Mapping[str, Sequence[tuple[str, Finding]]]
    """By experiment's key, its claims' findings, each with the runs that it is of."""
    pieces: Sequence[Piece]
    undrawn: Mapping[str, str] = field(default_factory=dict)
    """By title, why a table or figure could not be drawn."""
    seconds: float = 0.0
    """That the command took."""


def verdicts(
    outcomes: Sequence[Outcome], store: Store, loaded: pd.DataFrame
) -> dict[str, list[tuple[str, Finding]]]:
    """What each experiment's runs say of the claims that they bear on.

    Each is judged by its own runs, and those of the experiments that it names beside it; without
    them it is not. A claim may be about several settings, as about two budgets; each has its
    finding, and those that no run can say anything about are left out if another can.

    Args:
        outcomes: of experiments.
        store: where their runs are.
        loaded: what ``load`` gives of it.
    """
    runs = {each.experiment.key: each.runs for each in outcomes}
    found: dict[str, list[tuple[str, Finding]]] = {}
    for key, experiment in ((each.experiment.key, each.experiment) for each in outcomes):
        if not experiment.claims or not set(experiment.beside) <= runs.keys():
            continue
        mine = {run for each in (key, *experiment.beside) for run in runs[each]}
        with suppress(ConfigError):  # no run has a result
            ledger = judged([store], runs=mine, keys=experiment.claims, loaded=[loaded])
            found[key] = [each for claim in ledger.claims for each in _told(ledger, claim)]
    return found


def _told(ledger: Ledger, claim: Claim) -> list[tuple[str, Finding]]:
    every = list(ledger.of(claim).items())
    return [each for each in every if each[1].effect] or every[-1:]


def write(summary: Summary, out: Path) -> str:
    """Write index.md into a folder that is there, and return it."""
    text = page(summary)
    (out / "index.md").write_text(text, encoding="utf-8")
    return text


def page(summary: Summary) -> str:
    """The page in Markdown."""
    scale = summary.scale
    parts = [f"# {_title(summary)}, at scale {scale.name}", scale.purpose]
    if summary.outcomes:
        parts.append(_experiments(summary))
    parts += [_failures(summary)] if _failures(summary) else []
    if any(piece.shown.headlines for piece in summary.pieces):
        parts += ["## Headline numbers", headline_table(summary.pieces)]
    contests = {each.experiment.contest: each.text for each in summary.outcomes if each.text}
    for name, text in contests.items():
        parts += [f"## {name}", _without_title(text), f"Files: [{name}/]({name}/)."]
    told = {key: found for key, found in summary.verdicts.items() if found}
    if told:
        parts.append("## Verdicts on the paper's claims")
        parts += [_verdicts(summary, key, found) for key, found in told.items()]
    if summary.pieces:
        entries = "\n".join(entry(piece) for piece in summary.pieces)
        parts += ["## Tables and figures", entries]
    return "\n\n".join(parts) + "\n"


def _title(summary: Summary) -> str:
    if len(summary.pieces) == 1 and not any(each.experiment.contest for each in summary.outcomes):
        return summary.pieces[0].exhibit.title
    return "The paper's experiments" if summary.name == "all" else summary.name


def _experiments(summary: Summary) -> str:
    header = ["", "experiment", "points", "runs", "diverged", "training", *VERDICTS, ""]
    rows = []
    for each in summary.outcomes:
        claims = [finding for _, finding in summary.verdicts.get(each.experiment.key, ())]
        given = [finding.verdict for finding in each.findings or claims]
        rows.append(
            [
                each.experiment.key,
                each.experiment.title,
                f"{each.points:,}",
                f"{len(each.runs):,}",
                str(each.diverged),
                _duration(each.seconds),
                *(str(given.count(verdict)) for verdict in VERDICTS),
                "**failed**" if each.failure else "",
            ]
        )
    distinct = len({run for each in summary.outcomes for run in each.runs})
    note = (
        f"{distinct:,} distinct runs: equal ones are trained once and count in every experiment. "
        "Training is the sum over an experiment's runs, one after the other; "
        f"this command took {_duration(summary.seconds)}."
    )
    return f"{aligned(header, rows)}\n\n{note}"


def _failures(summary: Summary) -> str:
    lines = [
        f"- **{each.experiment.key} failed:** {escaped(each.failure, 500)}"
        for each in summary.outcomes
        if each.failure
    ]
    lines += [
        f"- **{title} is not drawn:** {escaped(why, 500)}" for title, why in summary.undrawn.items()
    ]
    return "\n".join(lines)


def _verdicts(summary: Summary, key: str, found: Sequence[tuple[str, Finding]]) -> str:
    title = next(each.experiment.title for each in summary.outcomes if each.experiment.key == key)
    several = len({where for where, _ in found}) > 1
    told = [
        replace(finding, claim=f"{finding.claim} ({escaped(where, 200)})") if several else finding
        for where, finding in found
    ]
    return f"### {key}: {title}\n\n{markdown(told)}"


def _without_title(text: str) -> str:
    return text.partition("\n\n")[2].strip()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
