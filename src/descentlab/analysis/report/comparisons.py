"""What a report compares: the tables of the audit, each method tuned, the best settings ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from descentlab.analysis.audit.search import Search
from descentlab.analysis.audit.tables import Evidence, Table, billions
from descentlab.analysis.claims.seed_noise import SeedNoise
from descentlab.analysis.comparison import Contender, ranked
from descentlab.analysis.tables.cells import cells, tuning_seeds, with_cells
from descentlab.analysis.tables.methods import contenders

Noise = Mapping[str, Mapping[str, SeedNoise]]
"""Seed noise that was measured elsewhere, by source of the runs and by method."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods that met under the same conditions."""

    name: str
    key: str
    """Of its section and its files."""
    frame: pd.DataFrame
    """Its runs, whatever their state; ``method`` is what tables call each."""
    noise: Mapping[str, SeedNoise]
    """By what tables call a method."""
    uneven: bool
    """Whether some method ran at several budgets, which then are contenders of their own."""

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Those that say something about their cell, from ``with_cells``."""
        return with_cells(self.frame)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per method and setting."""
        return cells(self.runs)

    @cached_property
    def tuning(self) -> pd.DataFrame:
        """The finished runs that tuned, with the seeds that most settings ran with."""
        done = self.runs[self.runs["state"].eq("done")]
        parts = [
            own[own["seed"].isin(tuning_seeds(own))]
            for _, own in done.groupby("method", sort=False)
        ]
        return pd.concat(parts) if parts else done

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(self.frame["method"]))

    @cached_property
    def contenders(self) -> list[Contender]:
        """Every method at its best, the best first; twins of others among them."""
        found = contenders(self.runs, self.methods)
        return ranked([self._judged(each) for each in found])

    @cached_property
    def apart(self) -> list[Contender]:
        """The same without those whose runs are another's."""
        return [each for each in self.contenders if each.same_as is None]

    def _judged(self, contender: Contender) -> Contender:
        noise = self.noise.get(contender.name)
        if not contender.choice:
            return contender
        if len(contender.losses) == 1 and noise is not None:
            return replace(contender, noise=noise)
        if contender.trials == 1:  # one setting was not chosen
            return replace(contender, choice=())
        said = f"{contender.name} was judged on the runs that it was chosen by"
        return replace(contender, caveats=(*contender.caveats, said))


def compared(evidence: Evidence, noise: Noise) -> list[Comparison]:
    """Everything that can be compared in a store, what has most methods and runs first.

    Args:
        evidence: the runs, as the audit compares them.
        noise: measured elsewhere.
    """
    largest = sorted(evidence.tables, key=lambda each: (-len(each.methods), -len(each.frame)))
    return [_comparison(table, place, noise) for place, table in enumerate(largest, start=1)]


def _comparison(table: Table, place: int, noise: Noise) -> Comparison:
    named = {_label(own, search): search for own in table.methods.values() for search in own}
    frames = [search.frame.assign(method=label) for label, search in named.items()]
    frame = pd.concat(frames, ignore_index=True)
    sources = frame["source"].unique()
    known = noise.get(str(sources[0]), {}) if len(sources) == 1 else {}
    own = {label: known[search.method] for label, search in named.items() if search.method in known}
    uneven = any(len(searches) > 1 for searches in table.methods.values())
    return Comparison(
        name=table.name, key=f"comparison-{place}", frame=frame, noise=own, uneven=uneven
    )


def _label(searches: list[Search], search: Search) -> str:
    return search.method if len(searches) == 1 else f"{search.method}, {billions(search.tokens)}"
