"""The paper's tables from the runs of any store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from descentlab.analysis import comparison
from descentlab.analysis.comparison import Contender, Published, aligned, plus_minus
from descentlab.analysis.tables.ablation import ablation
from descentlab.analysis.tables.methods import contenders, share_of_gap
from descentlab.paper.exhibit import Headline, Material, Shown
from descentlab.paper.published import SHARE_OF_GAP, TABLE1, TABLE2, TABLE3

VARIANTS = {
    ("adam", "zero", True): "adam ZI+BC",
    ("adam", "zero", False): "adam ZI−BC",
    ("adam", "gradient", False): "adam GI−BC",
    ("signum", "gradient", False): "signum GI",
    ("signum", "zero", False): "signum ZI",
}
"""The rows of Table 3 by method, start of the averages, and whether their bias is corrected."""


def table1(material: Material, runs: pd.DataFrame) -> Shown:
    """Every method with its best setting."""
    found = contenders(runs, list(TABLE1))
    published = dict(TABLE1)
    gap = share_of_gap(found, closes="signum", worst="sgd", top="adam")
    headlines = [
        Headline(
            what=f"perplexity of {each.name}",
            here=plus_minus(each.mean, each.two_sigma),
            paper=plus_minus(published[each.name].mean, published[each.name].two_sigma),
        )
        for each in comparison.ranked(found)
    ]
    if math.isfinite(gap):
        what = "share of the gap from sgd to adam that signum closes"
        headlines.append(Headline(what=what, here=f"{gap:.1%}", paper=f"{SHARE_OF_GAP:.0%}"))
    return Shown(
        frame=comparison.table(found, published),
        text=comparison.markdown(found, published) if found else "",
        headlines=tuple(headlines),
        cautions=(*_how_judged(found), *_edges(found)),
    )


def _how_judged(found: list[Contender]) -> list[str]:
    flattered = [each.name for each in found if each.choice]
    if not flattered:
        return []
    seeds = max(len(each.losses) for each in found if each.choice)
    spread = "" if seeds > 1 else ", and one seed gives no interval"
    return [
        f"the best settings of {', '.join(flattered)} are judged by the runs that chose them, "
        f"which flatters them{spread}"
    ]


def _edges(found: list[Contender]) -> list[str]:
    return [
        f"the best setting of {each.name} lies on an edge of what was tried: "
        f"{', '.join(each.edges)}"
        for each in found
        if each.edges and each.same_as is None
    ]


def table2(material: Material, runs: pd.DataFrame) -> Shown:
    """Adam's ε."""
    rows = ablation(runs, ["eps"])
    here = {row["eps"]: row for _, row in rows.iterrows()}
    names = {eps: f"{eps:g}" for eps in sorted({*TABLE2, *here}, reverse=True)}
    return _compared("ε", names, here, TABLE2)


def table3(material: Material, runs: pd.DataFrame) -> Shown:
    """The start of the averages, zero (ZI) or the first gradient (GI), and bias correction (BC)."""
    here: dict[Any, pd.Series] = {}
    for method in ("adam", "signum"):
        of_method = runs[runs["method"].eq(method)]
        varied = ["init", "bias_correction"] if method == "adam" else ["init"]
        for _, row in ablation(of_method, varied).iterrows():
            corrected = bool(row["bias_correction"]) if method == "adam" else False
            here[VARIANTS[method, str(row["init"]), corrected]] = row
    return _compared("variant", {name: name for name in TABLE3}, here, TABLE3)


def _compared(
    header: str,
    names: Mapping[Any, str],
    here: Mapping[Any, pd.Series],
    published: Mapping[Any, Published],
) -> Shown:
    """Our rows beside the published ones; either may be missing."""
    records = []
    for key, name in names.items():
        row, paper = here.get(key), published.get(key)
        records.append(
            {
                header: name,
                "perplexity": math.nan if row is None else float(row["perplexity"]),
                "two_sigma": math.nan if row is None else float(row["two_sigma"]),
                "n": 0 if row is None else int(row["n"]),
                "diverged": 0 if row is None else int(row["diverged"]),
                "paper_perplexity": math.nan if paper is None else paper.mean,
                "paper_two_sigma": math.nan if paper is None else paper.two_sigma,
            }
        )
    columns = [header, "perplexity ± 2σ", "n", "diverged", "paper"]
    cells = [
        [
            each[header],
            plus_minus(each["perplexity"], each["two_sigma"]),
            str(each["n"]),
            str(each["diverged"]),
            plus_minus(each["paper_perplexity"], each["paper_two_sigma"]),
        ]
        for each in records
    ]
    headlines = [
        Headline(what=f"perplexity with {header} {cell[0]}", here=cell[1], paper=cell[4])
        for cell, each in zip(cells, records, strict=True)
        if each["n"]
    ]
    absent = [each[header] for each in records if not each["n"]]
    return Shown(
        frame=pd.DataFrame(records),
        text=aligned(columns, cells),
        headlines=tuple(headlines),
        missing=(f"no runs for {'; '.join(absent)}",) if absent else (),
    )
