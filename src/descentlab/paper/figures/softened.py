"""Figure 4: Signum softened by a constant."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from descentlab.analysis.figures.mollifiers import perplexity_by_constant
from descentlab.analysis.tables.cells import cells, lowest
from descentlab.analysis.tables.mollifiers import softened
from descentlab.paper.exhibit import Headline, Material, Shown
from descentlab.paper.figures.naming import setting_of


def mollifiers(material: Material, runs: pd.DataFrame) -> Shown:
    """Draw Figure 4."""
    frame = softened(runs)
    if not len(frame):
        said = "no runs of signum with ε > 0, nor of a constant in the place of the variance"
        return Shown(frame=frame, missing=(said,))
    hard = runs["method"].eq("signum") & ~runs["eps"].gt(0)
    compared = {"adam": runs[runs["method"].eq("adam")], "signum": runs[hard]}
    found = {name: lowest(cells(some)["perplexity"]) for name, some in compared.items()}
    levels = {name: value for name, value in found.items() if math.isfinite(value)}
    best = {str(kind): lowest(some["perplexity"]) for kind, some in frame.groupby("kind")}
    headlines = [
        Headline(what=f"best of {name}", here=f"{value:.2f}", paper="–")
        for name, value in {**levels, **best}.items()
    ]
    subtitle = [
        setting_of(runs),
        "best over learning rate and β; dashed: adam, and signum as it is",
    ]
    title = alt.Title("Signum softened by a constant", subtitle=subtitle, fontSize=15)
    return Shown(
        frame=frame,
        chart=perplexity_by_constant(frame, levels, title),
        headlines=tuple(headlines),
    )
