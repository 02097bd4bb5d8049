"""Figure 17: training with other starts of the averages."""

from __future__ import annotations

import altair as alt
import pandas as pd

from descentlab.analysis.figures.training import curves_over_tokens
from descentlab.analysis.tables.ablation import ablation
from descentlab.analysis.tables.training import smoothed_training
from descentlab.paper.exhibit import Material, Shown
from descentlab.paper.figures.naming import setting_of

WORDS = {"zero": "zero", "gradient": "the first gradient"}


def starts(material: Material, runs: pd.DataFrame) -> Shown:
    """Draw Figure 17."""
    labels: dict[str, str] = {}
    tokens: dict[str, float] = {}
    for method, varied in (("adam", ["init", "bias_correction"]), ("signum", ["init"])):
        for _, row in ablation(runs[runs["method"].eq(method)], varied).iterrows():
            corrected = ", corrected" if row.get("bias_correction") else ""
            label = f"{method}, from {WORDS.get(row['init'], row['init'])}{corrected}"
            labels |= dict.fromkeys(row["runs"], label)
            budget = runs.loc[runs["run"].isin(row["runs"]), "tokens"].dropna()
            tokens[label] = float(budget.iloc[0]) if len(budget) else 1.0
    read = material.curves_of(labels) if labels else None
    curves = pd.DataFrame() if read is None else smoothed_training(read, labels, tokens)
    if not len(curves):
        said = "no runs that differ only in the start of their averages or its correction"
        return Shown(frame=curves, missing=(said,))
    order = list(dict.fromkeys(labels.values()))
    title = alt.Title(
        "Training with other starts of the averages",
        subtitle=[setting_of(runs), "mean over seeds, smoothed"],
        fontSize=15,
    )
    chart = curves_over_tokens(curves, order, times=2.0)
    return Shown(frame=curves, chart=chart.properties(width=480, height=300, title=title))
