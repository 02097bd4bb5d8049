"""Whether the best settings ran with enough seeds, and with others than those that chose them."""

from __future__ import annotations

from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import Cell, Search
from descentlab.analysis.audit.studies import SEEDS_NEEDED, fresh_seeds, methods_of
from descentlab.analysis.audit.tables import Evidence, Table, listed

FEW, SAME = "few-seeds", "tuned-on-its-judges"


def few_seeds(evidence: Evidence) -> Iterator[Finding]:
    """Best settings with fewer than three seeds, where settings are compared at all."""
    for table in evidence.tables:
        best = {each: each.best for each in _compared(table) if each.best is not None}
        few = {each: cell for each, cell in best.items() if len(cell.seeds) < SEEDS_NEEDED}
        if not few:
            continue
        counts: dict[int, list[str]] = {}
        for each, cell in few.items():
            counts.setdefault(len(cell.seeds), []).append(each.method)
        whose = [f"{count} seed{'s' * (count > 1)} for {listed(names)}"
                 for count, names in sorted(counts.items())]  # fmt: skip
        yield Finding(
            severity="warning",
            check=FEW,
            where=table.name,
            what=f"the best settings ran with {'; '.join(whose)}"
            + (f" ({len(best) - len(few)} others had {SEEDS_NEEDED} or more)"
               if len(best) > len(few) else ""),
            why="Without a spread over seeds a difference cannot be told from noise, and the run "
            "that was chosen for its result is the one that is shown.",
            settle=f"Run each of these settings with {SEEDS_NEEDED} seeds that tuning did not use.",
            runs=tuple(run for cell in few.values() for run in cell.runs),
            study=_study(table, few),
        )  # fmt: skip


def tuned_on_its_judges(evidence: Evidence) -> Iterator[Finding]:
    """Best settings with several seeds, all of which took part in choosing them."""
    for table in evidence.tables:
        chosen = {
            each: cell
            for each in _compared(table)
            if (cell := each.best) is not None
            and len(each.cells) > 1
            and len(cell.seeds) > 1
            and {*cell.seeds} <= {*each.tuning_seeds}
        }
        if not chosen:
            continue
        yield Finding(
            severity="warning",
            check=SAME,
            where=table.name,
            what=f"the best settings of {listed([each.method for each in chosen])} are judged on "
            "the seeds on which they were chosen",
            why="The best of many settings on a seed looks better than it is on another.",
            settle="Judge these settings with seeds that no other setting ran with.",
            runs=tuple(run for cell in chosen.values() for run in cell.runs),
            study=_study(table, chosen),
        )


def _compared(table: Table) -> list[Search]:
    """The searches of a table, unless it is a single setting."""
    return table.searches if sum(len(each.cells) for each in table.searches) > 1 else []


def _study(table: Table, chosen: dict[Search, Cell]) -> str:
    used = {seed for search in table.searches for seed in search.seeds}
    entries = {search.method: (search.settings(cell), {}) for search, cell in chosen.items()}
    return f"seeds = {fresh_seeds(used)}\n" + methods_of(entries)
