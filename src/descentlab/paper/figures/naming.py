"""What figures say of their runs: titles, panels, the marks' meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import altair as alt
import pandas as pd

from descentlab.analysis.amounts import amount
from descentlab.analysis.figures.scales import plain
from descentlab.charts import AnyChart

TRIANGLES = "triangles: above the axis, filled if diverged"
OWN_COLORS = alt.Resolve(
    scale=alt.ScaleResolveMap(color="independent", shape="independent"),
    legend=alt.LegendResolveMap(color="independent"),
)
"""Of charts that stand together."""
FRAMED = "framed: β1=β2; bold: best of its row; ×: all diverged"


def setting_of(runs: pd.DataFrame, but: str = "") -> str:
    """What the runs of a figure have in common.

    Args:
        runs: that it is drawn from.
        but: a column to leave out.
    """
    forms = {
        "model": "{}",
        "dataset": "{}",
        "sequence_length": "sequences of {}",
        "batch_size": "batches of {}",
    }
    values = {name: runs[name].dropna().unique() for name in forms if name != but}
    parts = [forms[name].format(own[0]) for name, own in values.items() if len(own) == 1]
    tokens = sorted(runs["tokens"].dropna().unique())
    if tokens:
        parts.append(f"{' and '.join(amount(each) for each in tokens)} tokens")
    return ", ".join(parts)


def stacked(rows: Sequence[AnyChart], what: str, runs: pd.DataFrame) -> AnyChart:
    """Charts one below the other, each with its own colours."""
    title = alt.Title(what, subtitle=setting_of(runs), fontSize=15, offset=14)
    return alt.vconcat(*rows, spacing=22, title=title, resolve=OWN_COLORS)


def small(text: str) -> alt.Title:
    """The title of a panel."""
    return alt.Title(text, fontSize=12, anchor="middle")


def of_beta1(cell: pd.Series) -> str:
    """A panel for each β1."""
    return f"β1 = {plain(cell['beta1'])}"


def clipping(cell: pd.Series) -> str:
    """A panel for each norm that gradients are clipped to."""
    clip = cell["clip_norm"]
    if pd.isna(clip):
        return "clipping not on record"
    return "no clipping" if math.isinf(clip) else f"clipping at {clip:g}"


def weight_decay_and_clipping(table: pd.DataFrame) -> Callable[[pd.Series], str]:
    """Panels by weight decay and clipping where they vary among cells, else by clipping."""
    decays = table["weight_decay"].nunique() > 1
    clips = table["clip_norm"].nunique(dropna=False) > 1

    def panel(cell: pd.Series) -> str:
        parts = [f"weight decay {cell['weight_decay']:g}"] if decays else []
        return ", ".join([*parts, *([clipping(cell)] if clips or not decays else [])])

    return panel
