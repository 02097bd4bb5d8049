"""A report on a store, in one pass over its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from descentlab import __version__
from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.kit import audited
from descentlab.analysis.audit.selection import of_study
from descentlab.analysis.frame import load, load_curves
from descentlab.analysis.report import charts
from descentlab.analysis.report.comparisons import Comparison, Noise, compared
from descentlab.analysis.report.curves import last_losses, packed
from descentlab.analysis.report.document import (
    Block,
    Chart,
    Column,
    Details,
    Document,
    Figure,
    Grid,
    Items,
    Paragraph,
    Section,
    Verdict,
)
from descentlab.analysis.report.environments import Environment, environments, sources
from descentlab.analysis.report.equal_betas import equal_betas, slug
from descentlab.analysis.report.findings import (
    Records,
    audit_section,
    claims_section,
    on_comparison,
)
from descentlab.analysis.report.rankings import pairs_grid, ranking_grid
from descentlab.analysis.report.run_list import DIVERGED, Runs, run_list
from descentlab.analysis.report.verdicts import verdict
from descentlab.errors import ConfigError
from descentlab.runs.store import Store

Tell = Callable[[str], None]
"""Told what is done next, in a few words."""
UNFINISHED = ("running", "pending", "interrupted", "failed", "damaged")
PRINTED = 40
"""Runs that a page without scripts, or on paper, shows."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What a report shows that a store does not hold."""

    title: str = ""
    """Of the report; the store's name if empty."""
    claims: Records = ()
    """Verdicts on claims, as ``claims.rendering.as_records`` gives them."""
    noise: Noise = field(default_factory=dict)
    """Seed noise that was measured elsewhere, by source of runs and method."""
    sections: Sequence[Section] = ()
    """Further ones, such as the cost card of a comparison; shown after what was compared."""


def gather(
    store: Store | Path | str,
    *,
    study: str | None = None,
    extras: Extras | None = None,
    tell: Tell = lambda step: None,
) -> Document:
    """Gather everything that a report on a store shows.

    Args:
        store: or its folder; read, and left as it is.
        study: a study, an experiment or an imported sweep whose runs to take; all if left out.
        extras: what to show besides.
        tell: told of every step.

    Raises:
        ConfigError: if there is no such store or study, or no run in it.
        CorruptError: if a study or an imported file is damaged; a damaged run is told.
    """
    opened = store if isinstance(store, Store) else Store(Path(store))
    given = extras or Extras()
    tell("reading runs")
    runs = load(opened)
    if not len(runs):
        raise ConfigError(f"store: {opened.root} has no runs to report on; train or import some")
    runs = runs if study is None else of_study(runs, study).reset_index(drop=True)
    tell("reading curves")
    readable = runs.loc[runs["state"].ne("damaged"), "run"]
    curves = packed(load_curves(opened, readable))
    tell("looking for unfair comparisons")
    evidence, findings = audited(runs)
    comparisons = compared(evidence, given.noise)
    found, places = environments(opened, runs.loc[runs["source"].eq("descentlab"), "run"])
    listed = run_list(runs, comparisons, found, places)
    sections, drawn = _sections(comparisons, last_losses(curves), tell)
    last = [
        audit_section(evidence, findings),
        *([claims_section(given.claims)] if given.claims else []),
        _environment_section(opened, found, places, listed, of_all=study is None),
    ]
    return Document(
        title=given.title or f"Report on the store “{_name(opened, study)}”",
        facts=tuple(_facts(runs, comparisons)),
        sections=(_summary(runs, comparisons, findings), *sections, *given.sections, *last),
        charts=drawn,
        runs=listed,
        curves=curves,
        compared=tuple(each.name for each in comparisons),
    )


def best_runs(runs: Runs, count: int = PRINTED) -> Grid:
    """The first runs of a list as a table, for paper and for texts."""
    names = [
        name
        for name in ("run", "method", "state", "perplexity", "lr", "beta1", "beta2", "seed")
        if name in runs.columns
    ]
    forms = {"perplexity": ".2f", "lr": ".4g", "beta1": ".6g", "beta2": ".6g", "seed": "d"}
    columns = [runs.columns[name][:count] for name in names]
    infinite = {"inf": None}
    rows = [
        tuple(infinite.get(str(cell), cell) for cell in row) for row in zip(*columns, strict=True)
    ]
    return Grid(
        key="best-runs",
        columns=tuple(Column(name, forms.get(name, "")) for name in names),
        rows=tuple(rows),
        caption=f"The {len(rows):,} runs of {len(runs):,} with the lowest perplexity.",
    )


def _name(store: Store, study: str | None) -> str:
    name = store.root.resolve().name or str(store.root)
    return name if study is None else f"{name}, {study}"


def _facts(runs: pd.DataFrame, comparisons: Sequence[Comparison]) -> list[str]:
    methods = {each for comparison in comparisons for each in comparison.methods}
    counts = _counts(runs)
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    return [
        f"{_count(len(runs), 'run')}: {states}",
        f"{_count(len(methods), 'method')} in {_count(len(comparisons), 'comparison')}",
        f"made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by descentlab {__version__}",
    ]


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + "s" * (number != 1)


def _counts(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each state; a diverged one is not counted as done besides."""
    states = runs["state"].where(~runs["diverged"], DIVERGED)
    return {str(state): int(count) for state, count in states.value_counts().items()}


def _summary(
    runs: pd.DataFrame, comparisons: Sequence[Comparison], findings: Sequence[Finding]
) -> Section:
    """The verdicts. That runs failed or go on is said first, that a race stopped them last."""
    blocks: list[Block] = []
    counts = _counts(runs)
    missing = {state: counts[state] for state in UNFINISHED if state in counts}
    if missing.keys() - {"interrupted"}:
        blocks.append(_not_whole(missing, len(runs)))
    judged = {each: verdict(each, on_comparison(findings, each.name)) for each in comparisons}
    several = [judged[each] for each in comparisons if len(each.apart) != 1]
    alone = [judged[each] for each in comparisons if len(each.apart) == 1]
    blocks += several
    if several and alone:
        said = f"{_count(len(alone), 'setting')} in which one method alone was run"
        blocks.append(Details(said, tuple(alone)))
    else:
        blocks += alone
    if not comparisons:
        blocks.append(Paragraph("No run can be read, so nothing is compared."))
    if missing.keys() == {"interrupted"}:
        blocks.append(_not_whole(missing, len(runs)))
    blocks.append(
        Paragraph(
            "A method wins if the 95% interval of its difference from each other one is on its "
            "side and the p-value, corrected for all pairs, is at most 0.05. n and the test stand "
            "beside each verdict. “Cannot be told” is no evidence of equality.",
            quiet=True,
        )
    )
    return Section(key="verdicts", title="Verdicts", blocks=tuple(blocks))


def _not_whole(missing: dict[str, int], total: int) -> Verdict:
    """How many runs have no result, by their state."""
    told = ", ".join(f"{count:,} {state}" for state, count in missing.items())
    raced = "Racing stops runs that cannot win: those are interrupted, and are no failures."
    return Verdict(
        badge="not whole",
        tone="warning",
        heading="Runs without a result",
        sentence=(
            f"{sum(missing.values()):,} of {_count(total, 'run')} without a result ({told}); "
            "the verdicts speak of the others."
        ),
        details=(raced,) * ("interrupted" in missing),
    )


def _sections(
    comparisons: Sequence[Comparison], last: pd.Series, tell: Tell
) -> tuple[list[Section], dict[str, Chart]]:
    """A section for each comparison, and the charts of all by key."""
    drawn: dict[str, Chart] = {}
    sections = []
    for place, each in enumerate(comparisons, start=1):
        tell(f"comparing methods, {place} of {len(comparisons)}: {each.name}")
        sections.append(_section(each, last, drawn))
    return sections, drawn


def _section(comparison: Comparison, last: pd.Series, drawn: dict[str, Chart]) -> Section:
    """A comparison with its tables and charts; the charts are added to those drawn."""
    key = comparison.key
    blocks: list[Block] = []
    if not comparison.contenders:
        blocks.append(Paragraph("No run of it has a result yet."))
        return Section(key=key, title=comparison.name, blocks=tuple(blocks))
    blocks.append(ranking_grid(comparison))
    if (pairs := pairs_grid(comparison)) is not None:
        blocks.append(pairs)
    made: list[tuple[str, Callable[[], Chart | None]]] = [
        ("seeds", lambda: charts.seeds(comparison)),
        ("rates", lambda: charts.rates(comparison)),
        ("training", lambda: charts.training(comparison, last)),
        ("best-of", lambda: charts.best_of(comparison)),
    ]
    for name, make in made:
        try:
            chart = make()
        except ConfigError as error:  # runs that cannot be put into one chart; the audit says why
            blocks.append(Items((f"No chart: {error}.",)))
            continue
        if chart is not None:
            drawn[f"{key}-{name}"] = chart
            blocks.append(Figure(f"{key}-{name}"))
    blocks += _by_method(comparison, drawn)
    return Section(key=key, title=comparison.name, blocks=tuple(blocks))


def _by_method(comparison: Comparison, drawn: dict[str, Chart]) -> list[Block]:
    """Learning rates by β, folded away, and the betas of methods that have two."""
    folded, blocks = [], []
    for color, each in enumerate(comparison.apart):
        chart = charts.rates_by_decay(comparison, each.name, color)
        if chart is not None:
            name = f"{comparison.key}-rates-{slug(each.name)}"
            drawn[name] = chart
            folded.append(Figure(name))
        if (betas := equal_betas(comparison, each.name)) is not None:
            drawn.update(betas.charts)
            blocks += betas.blocks
    more = [Details("Learning rates by β, method by method", tuple(folded))] if folded else []
    return [*blocks, *more]


def _environment_section(
    store: Store,
    found: Sequence[Environment],
    places: dict[str, int],
    runs: Runs,
    *,
    of_all: bool,
) -> Section:
    """Where runs were computed, and which files were imported."""
    blocks: list[Block] = []
    if found:
        counts = pd.Series(list(places.values())).value_counts()
        names = list(dict.fromkeys(name for each in found for name in each))
        grid = Grid(
            key="environments",
            columns=(Column(""), *(Column(f"{counts[n]:,} runs") for n in range(len(found)))),
            rows=tuple((name, *(_said(each.get(name)) for each in found)) for name in names),
            caption="Distinct environments of the last attempts, and how many runs have each.",
        )
        blocks.append(grid)
    imported = sources(store) if of_all else []
    if imported:
        rows = tuple(
            (each["file"], each["kind"], each["runs"], each["sha256"][:16]) for each in imported
        )
        columns = (Column("file"), Column("kind"), Column("runs", ","), Column("SHA-256 (begin)"))
        blocks.append(
            Grid(key="imported", columns=columns, rows=rows, caption="Files that were imported.")
        )
        notes = [f"{each['file']}: {note}" for each in imported for note in each["notes"]]
        if notes:
            blocks.append(Details("What was noted while importing", (Items(tuple(notes)),)))
    if not blocks:
        blocks.append(Paragraph(f"None of {len(runs):,} runs has its environment on record."))
    return Section(key="environment", title="Environment", blocks=tuple(blocks))


def _said(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
