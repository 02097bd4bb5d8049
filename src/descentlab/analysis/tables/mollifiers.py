"""Signum softened by a constant: m/(|m|+ε), or Adam's m/√(m²+σ²) with a constant in place of σ²."""

from __future__ import annotations

import pandas as pd

from descentlab.analysis.tables.cells import best, cells

STARTS = {"zero": "from zero", "gradient": "from the first gradient"}


def softened(runs: pd.DataFrame) -> pd.DataFrame:
    """The best perplexity for each constant, all else tuned.

    Args:
        runs: from ``with_cells``, of one experiment; signum with ε > 0 and constant_variance
            are taken.

    Returns:
        ``kind``, ``constant`` (|m|'s unit for signum's ε, squared for a variance), ``perplexity``
        (infinite if all its cells diverged), ``lr`` and ``decay`` of the best cell, and ``tried``,
        the number of cells.
    """
    mollified = runs["method"].eq("signum") & runs["eps"].gt(0)
    taken = runs[mollified | runs["method"].eq("constant_variance")]
    kinds = [_kind(row) for _, row in taken.iterrows()]
    named = taken.assign(kind=[kind for kind, _ in kinds], constant=[value for _, value in kinds])
    rows = []
    for (kind, constant), group in named.groupby(["kind", "constant"], sort=True):
        table = cells(group)
        first = best(table)
        if first is not None:
            value = float(first["perplexity"])
            rows.append((kind, constant, value, first["lr"], first["decay"], len(table)))
    names = ["kind", "constant", "perplexity", "lr", "decay", "tried"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _kind(run: pd.Series) -> tuple[str, float]:
    settings = run["settings"]
    if run["method"] == "signum":
        start = STARTS.get(str(run["init"]), str(run["init"]))
        return f"ε beside |m|, {start}", float(run["eps"])
    each = any(name.startswith("optimizer.relative.") for name in settings)
    return (
        "constant σ², times each tensor's mean" if each else "constant σ²",
        float(settings["optimizer.variance"]),
    )
