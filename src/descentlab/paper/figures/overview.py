"""Figure 1: how each method's best runs train, and what every trial ended with."""

from __future__ import annotations

import altair as alt
import pandas as pd

from descentlab.analysis.figures.learning_rates import perplexity_by_learning_rate
from descentlab.analysis.figures.training import curves_over_tokens
from descentlab.analysis.selection import Selection
from descentlab.analysis.statistics.budget_to_match import budget_to_match
from descentlab.analysis.tables.cells import best, cells
from descentlab.analysis.tables.training import smoothed_training
from descentlab.charts import AnyChart
from descentlab.paper.exhibit import Headline, Material, Shown
from descentlab.paper.figures.naming import setting_of, small
from descentlab.paper.published import SHARE_OF_BUDGET

SIZE = {"width": 330, "height": 300}


def training_and_tuning(material: Material, runs: pd.DataFrame) -> Shown:
    """Draw Figure 1."""
    table = cells(runs)
    winners = {
        str(method): winner
        for method, some in table.groupby("method")
        if (winner := best(some)) is not None
    }
    order = sorted(winners, key=lambda method: winners[method]["perplexity"])
    trials = table[table["perplexity"].notna()][["method", "lr", "perplexity"]]
    panels: list[AnyChart] = [
        perplexity_by_learning_rate(trials, order).properties(
            **SIZE, title=small("Every trial, by its learning rate")
        )
    ]
    curves = _best_curves(material, runs, winners)
    if len(curves):
        training = curves_over_tokens(curves, order, level="signum")
        panels.insert(0, training.properties(**SIZE, title=small("Best runs, in training")))
    subtitle = [
        setting_of(runs),
        "left: smoothed; dashed: where signum ends. right: lines through the best β at each rate",
    ]
    title = alt.Title("Adam, its relatives and SGD", subtitle=subtitle, fontSize=15)
    chart = alt.hconcat(*panels, spacing=30, title=title)
    return Shown(frame=trials, chart=chart, headlines=_budget(material, table))


def _best_curves(
    material: Material, runs: pd.DataFrame, winners: dict[str, pd.Series]
) -> pd.DataFrame:
    """The smoothed curves of each method's best cell, averaged over its seeds."""
    labels: dict[str, str] = {}
    tokens: dict[str, float] = {}
    for method, winner in winners.items():
        chosen = runs["method"].eq(method) & runs["cell"].eq(winner["cell"])
        labels |= dict.fromkeys(runs.loc[chosen & runs["state"].eq("done"), "run"], method)
        tokens[method] = 1.0 if pd.isna(winner["tokens"]) else float(winner["tokens"])
    return smoothed_training(material.curves_of(labels), labels, tokens)


def _budget(material: Material, table: pd.DataFrame) -> tuple[Headline, ...]:
    """The tokens that Adam needs for Signum's perplexity, from runs with other budgets."""
    signum = best(table[table["method"].eq("signum")])
    both = material.select(Selection(methods=("adam", "signum"), tokens="any"))
    finished = both[both["perplexity"].notna()]
    if signum is None or not finished["method"].eq("adam").any():
        return ()
    rows = budget_to_match(finished)
    here = rows[rows["tokens"].eq(signum["tokens"]) & rows["source"].eq("between budgets")]
    what = "share of signum's tokens that adam needs for signum's best perplexity"
    return tuple(
        Headline(what=what, here=f"{share:.2f}", paper=f"{SHARE_OF_BUDGET:.2f}")
        for share in here["share"].dropna()
    )
