"""Runs that are there more than once: one cell twice, or one curve under two settings."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence
from descentlab.analysis.frame import CONDITIONS
from descentlab.analysis.imports.duplicates import settings_key

CELL, CURVE = "duplicated-cell", "equal-curves"
DECISIVE = ["source", *CONDITIONS, "steps", "seed"]
"""Columns in which the same run agrees, besides its optimizer's settings."""
SHOWN = 3
NO_EFFECT = ("probes.", "execution.")
"""What the keys of settings begin with that decide no result."""


def duplicated_cells(evidence: Evidence) -> Iterator[Finding]:
    """Runs with equal settings, conditions and seed, in one sweep or in two."""
    frame = evidence.frame[evidence.frame["source"] != "descentlab"]  # ours are unique by their ids
    frame = frame[frame["steps"].notna() | frame["duplicate_of"].notna()]
    if frame.empty:
        return
    keys = [settings_key(_optimizer(settings)) for settings in frame["settings"]]
    grouped = frame.assign(settings_key=keys).groupby([*DECISIVE, "settings_key"], dropna=False)
    replicated = _replicated(frame, grouped)
    pairs = [own for _, own in grouped if len(own) > 1 and not replicated >= {*own["sweep"]}]
    if not pairs:
        return
    said = [f"{_at(own)}: {_values(own)}" for own in pairs[:SHOWN]]
    more = f"; and {len(pairs) - SHOWN:,} more" if len(pairs) > SHOWN else ""
    yield Finding(
        severity="warning",
        check=CELL,
        where=", ".join(dict.fromkeys(sweep for own in pairs for sweep in own["sweep"])),
        what=f"{len(pairs):,} cell{'s are' if len(pairs) > 1 else ' is'} there more than once: "
        f"{'; '.join(said)}{more}",
        why="Counted twice, a cell weighs double in every share of runs and looks like two seeds.",
        settle="Keep the first of each, unless their seeds are known to differ; their difference "
        "then is a measure of the noise.",
        runs=tuple(run for own in pairs for run in own["run"]),
    )


def equal_curves(evidence: Evidence) -> Iterator[Finding]:
    """Runs of different settings with the same training curve, or the same loss to the last bit."""
    frame = evidence.frame
    marks = frame["curve"].where(frame["source"] != "descentlab", _bits(frame))
    groups = [own for _, own in frame.groupby(marks) if len(own) > 1 and _differ(own)]
    ours = [own for own in groups if (own["source"] == "descentlab").all()]
    imported = [own for own in groups if not (own["source"] == "descentlab").all()]
    if imported:
        yield _finding(imported, "error", "have the same training curve, value by value",
                       "One of them is mislabelled: what is shown for its settings is another run.",
                       "Run these settings again, and leave them out until then.")  # fmt: skip
    if ours:
        yield _finding(ours, "note", "end at the same loss, to the last bit",
                       "What differs between them had no effect, so they are one trial, not two.",
                       "Count each such set once.")  # fmt: skip


def _finding(
    groups: list[pd.DataFrame], severity: str, said: str, why: str, settle: str
) -> Finding:
    shown = "; ".join(" and ".join(own["run"].iloc[:2]) for own in groups[:SHOWN])
    more = f", and {len(groups) - SHOWN:,} more" if len(groups) > SHOWN else ""
    return Finding(
        severity="error" if severity == "error" else "note",
        check=CURVE,
        where=", ".join(dict.fromkeys(sweep for own in groups for sweep in own["sweep"] if sweep)),
        what=f"{sum(map(len, groups)):,} runs with different settings {said}: {shown}{more}",
        why=why,
        settle=settle,
        runs=tuple(run for own in groups for run in own["run"]),
    )


def _optimizer(settings: dict[str, object]) -> dict[str, object]:
    return {key.removeprefix("optimizer."): value for key, value in settings.items()}


def _replicated(frame: pd.DataFrame, grouped: DataFrameGroupBy) -> set[str]:
    """Sweeps that repeat most cells and tell no seeds: their repetitions are seeds, not slips."""
    size = grouped["run"].transform("size")
    cells = (1 / size).groupby(frame["sweep"]).sum()
    repeated = (1 / size).where(size > 1, 0.0).groupby(frame["sweep"]).sum()
    unknown = frame["seed"].isna().groupby(frame["sweep"]).all()
    return set(cells.index[unknown & (2 * repeated > cells)])


def _at(own: pd.DataFrame) -> str:
    row = own.iloc[0]
    values = [("lr", row["lr"]), ("β1", row["beta1"]), ("β2", row["beta2"])]
    return f"{row['method']} " + " ".join(f"{k}={v:g}" for k, v in values if not pd.isna(v))


def _values(own: pd.DataFrame) -> str:
    if own["diverged"].all():
        return "all diverged"
    return " and ".join("diverged" if each else f"{value:.3f}" for each, value in
                        zip(own["diverged"], own["perplexity"], strict=True))  # fmt: skip


def _bits(frame: pd.DataFrame) -> pd.Series:
    """The loss to its last bit, where it is a number."""
    finite = frame["loss"].where(frame["loss"].abs() < float("inf"))
    return finite.map(float.hex, na_action="ignore")


def _differ(own: pd.DataFrame) -> bool:
    """Whether they differ in anything that could have had an effect."""
    kept = [
        sorted((key, str(value)) for key, value in each.items() if not key.startswith(NO_EFFECT))
        for each in own["settings"]
    ]
    return any(each != kept[0] for each in kept)
