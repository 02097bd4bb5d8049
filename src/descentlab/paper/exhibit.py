"""What a table or figure of the paper is made from, and what it turns out to show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from descentlab.analysis.frame import load, load_curves
from descentlab.analysis.selection import Selection, Setting, reference, select
from descentlab.analysis.tables.cells import under_each_name, with_cells
from descentlab.charts import AnyChart
from descentlab.errors import ConfigError
from descentlab.runs.store import Store

PAPERS = Setting(
    model="160M",
    dataset="SlimPajama",
    sequence_length=2048,
    batch_size=256,
    tokens=6200 * 256 * 2048,
)
"""The setting of the paper's Table 1, Section A.1.1."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A number that the paper prints, and what the runs say."""

    what: str
    here: str
    paper: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A table or figure as it came out."""

    frame: pd.DataFrame
    """The numbers in it."""
    chart: AnyChart | None = None
    text: str = ""
    """A table in Markdown."""
    headlines: tuple[Headline, ...] = ()
    missing: tuple[str, ...] = ()
    """Runs that the paper has here and the store has not, each in a sentence."""
    cautions: tuple[str, ...] = ()
    """What to know before believing it, each in a sentence."""
    runs: pd.DataFrame | None = None
    """Those drawn, if not all that were selected."""


class Material:
    """The runs of a store, and the setting that they are compared in.

    Args:
        store: or its folder.
        study: whose runs alone to take; all if left out.
        runs: the ids of those to take; all if left out.
        loaded: what ``load`` gives of the store, if it is known.
        to: the setting of reference; found among the runs if left out.

    Raises:
        ConfigError: if there is no such store or study, or nothing to draw in it.
    """

    def __init__(
        self,
        store: Store | Path | str,
        study: str | None = None,
        *,
        runs: Collection[str] | None = None,
        loaded: pd.DataFrame | None = None,
        to: Setting | None = None,
    ) -> None:
        self._store = store
        loaded = load(store, study=study) if loaded is None else loaded
        loaded = under_each_name(loaded if runs is None else loaded[loaded["run"].isin(set(runs))])
        self.runs = with_cells(loaded)
        """Those trained, one for each method, cell and seed."""
        self.repeated = len(loaded[loaded["state"].isin(["done", "interrupted"])]) - len(self.runs)
        """Runs that are left out, since another has the same cell and seed."""
        to = reference(self.runs, PAPERS) if to is None else to
        if to is None or not len(self.runs):
            where = store.root if isinstance(store, Store) else store
            raise ConfigError(f"{where}: has no trained run; there is nothing to draw")
        self.reference: Setting = to

    def select(self, selection: Selection) -> pd.DataFrame:
        """The runs that a selection takes."""
        return select(self.runs, selection, self.reference)

    def curves_of(self, runs: Iterable[str]) -> pd.DataFrame:
        """The curves of some runs, as ``load_curves`` gives them."""
        return load_curves(self._store, list(runs))


Draw = Callable[[Material, pd.DataFrame], Shown]
"""From the material and the selected runs to what they show."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure of the paper as data."""

    name: str
    title: str
    shows: str
    """What can be seen, in a sentence."""
    needs: str
    """The runs that it is drawn from, as a phrase."""
    selection: Selection
    draw: Draw
    """From the selected runs."""
    expects: tuple[str, ...] = ()
    """Methods whose absence is told."""


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A figure of the paper that is computed at once, without runs."""

    name: str
    title: str
    shows: str
    """What can be seen, in a sentence."""
    draw: Callable[[], Shown]
