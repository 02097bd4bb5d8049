"""The figures that need no runs: the quadratic (6, 7, 18) and filters of a signal (19 to 21)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

from descentlab.paper.exhibit import Computed, Headline, Shown

if TYPE_CHECKING:
    from torch import Tensor

    from descentlab.quadratic.experiment import PanelCharts
    from descentlab.theory.figures import Row

STEPS, SEEDS, BATCH, BETA = 500, 10, 3, 0.95
"""Of the quadratic, Section 5."""
SIGNAL, SIGNAL_STEPS = "damped", 300
FILTER_BETAS = (0.8, 0.95, 0.99)


@cache
def _panel() -> PanelCharts:
    from descentlab.quadratic.experiment import Setting, panel_charts
    from descentlab.quadratic.spectrum import PRESETS

    setting = Setting(steps=STEPS, seeds=SEEDS, batch=BATCH, noise=0.0, beta=BETA)
    return panel_charts([PRESETS["heterogeneous"], PRESETS["homogeneous"]], setting)


def _losses() -> Shown:
    import altair as alt
    import pandas as pd

    panel = _panel()
    apart = alt.Resolve(scale=alt.ScaleResolveMap(color="independent", y="independent"))
    chart = alt.vconcat(panel.charts["losses"], panel.charts["variances"], resolve=apart)
    rows = [row for row in panel.rows if "ε" not in row["method"]]
    return Shown(
        frame=pd.DataFrame(rows),
        chart=chart,
        headlines=tuple(
            Headline(
                what=f"loss of {row['method']} at its best rate, {row['problem']}",
                here=f"{row['median']:.2g}",
                paper="–",
            )
            for row in _best(rows)
        ),
    )


def _best(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Of each problem and method, the row with the lowest median."""
    best: dict[tuple[object, object], dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: float(str(row["median"])), reverse=True):
        best[row["problem"], row["method"]] = row
    return sorted(best.values(), key=lambda row: (str(row["problem"]), str(row["method"])))


def _mollifiers() -> Shown:
    import pandas as pd

    panel = _panel()
    rows = [row for row in panel.rows if row["method"].startswith(("adam", "signum, ε"))]
    return Shown(frame=pd.DataFrame(rows), chart=panel.charts["mollifiers"])


def _hessians() -> Shown:
    import pandas as pd

    return Shown(frame=pd.DataFrame(), chart=_panel().charts["hessians"])


def _filtered(family: str) -> Shown:
    """What one family of filters makes of the paper's damped signal, at several decays."""
    import pandas as pd

    from descentlab.theory import filters
    from descentlab.theory.figures import Row, filter_rows
    from descentlab.theory.signals import NAMED, signal_from

    makers: dict[str, Callable[[float], Callable[[Tensor], Tensor]]] = {
        "Adam": filters.adam_filter,
        "EMA of sign": filters.ema_of_sign,
        "sign of EMA": filters.sign_of_ema,
    }
    gradient = signal_from(SIGNAL, SIGNAL_STEPS)
    rows: list[Row] = [Row("sign(g)", "sign", filters.sign_filter()(gradient))]
    for beta in FILTER_BETAS:
        rows.append(Row(f"{family}, β = {beta:g}", family, makers[family](beta)(gradient)))
    shown = [Row("gradient", "gradient", gradient), *rows]
    frame = pd.DataFrame({row.label: row.values.tolist() for row in shown})
    frame.insert(0, "k", range(1, len(gradient) + 1))
    return Shown(frame=frame, chart=filter_rows(shown[0], rows, f"g_k = {NAMED[SIGNAL]}"))


COMPUTED: tuple[Computed, ...] = (
    Computed(
        name="fig6",
        title="Figure 6: two quadratics",
        shows="Losses of Adam, Signum and SGD, and Adam's variance by coordinate.",
        draw=_losses,
    ),
    Computed(
        name="fig7",
        title="Figure 7: Signum with a fixed mollifier",
        shows="On the quadratics no constant in Signum's sign does what Adam's variance does.",
        draw=_mollifiers,
    ),
    Computed(
        name="fig18",
        title="Figure 18: the two Hessians",
        shows="Their entries, with blocks of different and of like eigenvalues.",
        draw=_hessians,
    ),
    Computed(
        name="fig19",
        title="Figure 19: Adam as a filter",
        shows="A damped signal through EMA(g)/√EMA(g²), which does not see its envelope.",
        draw=partial(_filtered, "Adam"),
    ),
    Computed(
        name="fig20",
        title="Figure 20: the average of signs as a filter",
        shows="A damped signal through EMA(sign(g)).",
        draw=partial(_filtered, "EMA of sign"),
    ),
    Computed(
        name="fig21",
        title="Figure 21: the sign of the average as a filter",
        shows="A damped signal through sign(EMA(g)).",
        draw=partial(_filtered, "sign of EMA"),
    ),
)
"""Figures 19 to 21 show one family of filters each, with the gradient's sign above."""
