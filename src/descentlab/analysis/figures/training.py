"""Training perplexity over steps or tokens."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from descentlab.analysis.amounts import unit_of
from descentlab.analysis.figures.scales import ceiling, log_axis, method_colors
from descentlab.charts import GREY, AnyChart


def training_curves(curves: pd.DataFrame, order: Sequence[str]) -> AnyChart:
    """Smoothed training perplexity of each method's best setting, mean over seeds.

    Args:
        curves: columns method, step, perplexity.
        order: methods, best first.
    """
    top = 4 * ceiling(curves.groupby("method")["perplexity"].min())
    frame = curves[curves["perplexity"] <= top]
    y_scale = alt.Scale(type="log", nice=False)
    return (
        alt.Chart(frame)
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("perplexity:Q", scale=y_scale, title="training perplexity", axis=log_axis()),
            color=method_colors(order),
        )
        .properties(
            width=560,
            height=340,
            title=alt.Title(
                "Training with each method's best setting",
                subtitle="mean over seeds, smoothed over steps",
            ),
        )
    )


def curves_over_tokens(
    curves: pd.DataFrame, order: Sequence[str], *, level: str | None = None, times: float = 4.0
) -> AnyChart:
    """Smoothed training perplexity over the tokens seen, of runs with budgets of their own.

    Args:
        curves: columns method, tokens, perplexity.
        order: methods, best first.
        level: the method whose last perplexity a dashed line marks.
        times: where to cut the axis, as a multiple of the worst method's last perplexity.
    """
    last = curves.groupby("method")["perplexity"].last()
    top = times * ceiling(last)
    unit, name, _ = unit_of(curves["tokens"].max())
    frame = curves.assign(amount=curves["tokens"] / unit)
    scale = alt.Scale(type="log", domain=[float(last.min()) * 0.95, top], nice=False)
    lines = (
        alt.Chart(frame[["method", "amount", "perplexity"]])
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("amount:Q", title=f"{name} tokens".strip(), scale=alt.Scale(nice=False)),
            y=alt.Y("perplexity:Q", scale=scale, title="training perplexity", axis=log_axis()),
            color=method_colors(order),
        )
    )
    layers = [lines]
    if level is not None and level in last:
        rule = alt.Chart(pd.DataFrame({"level": [float(last[level])]}))
        layers.append(
            rule.mark_rule(strokeDash=[4, 3], color=GREY).encode(y=alt.Y("level:Q", scale=scale))
        )
    return alt.layer(*layers)
