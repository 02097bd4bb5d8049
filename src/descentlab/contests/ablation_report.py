"""Writes what an ablation found: Markdown for people, CSV and JSON for programs, a figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from descentlab.analysis.comparison import aligned, markdown, ranked
from descentlab.analysis.figures.scales import method_colors
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.charts import GREY, AnyChart, save
from descentlab.config import canonical_json
from descentlab.contests.ablation import Ablation, Effect
from descentlab.contests.report import plain
from descentlab.storage import storage_errors

NAME = "ablation"
LEGEND = (
    "Change of a method's perplexity when one setting is switched, all else as tuned for the "
    "baseline, over the same fresh seeds: mean and 95% interval of Student's t over pairs. A "
    "dash: the method does not have the setting. Same runs: the setting has no effect on it, by "
    "algebra. The ranking survives if every two neighbours that the baseline tells apart are told "
    "apart the same way under the switch; it does not if any two are told apart the other way. "
    "Intervals are not corrected for their number."
)


def write(found: Ablation, *, title: str, purpose: str, out: Path) -> str:
    """Write the ablation into a folder, and return the Markdown.

    Raises:
        StorageError: if the folder cannot be written.
    """
    text = "\n\n".join([f"# {title}", purpose, *_sections(found)]) + "\n"
    rows = _rows(found)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{NAME}.md").write_text(text, encoding="utf-8")
        pd.DataFrame(rows).to_csv(out / f"{NAME}.csv", index=False)
        (out / f"{NAME}.json").write_bytes(canonical_json(_as_data(found)))
        save(figure(found), out / NAME)
    return text


def figure(found: Ablation) -> AnyChart:
    """The change of each method's perplexity under each switch, with its interval."""
    finite = [
        row for row in _rows(found)
        if all(math.isfinite(row[name]) for name in ("percent", "low", "high"))
    ]  # fmt: skip
    columns = ["switch", "method", "percent", "low", "high"]
    frame = pd.DataFrame(finite, columns=pd.Index(columns))
    order = [each.name for each in ranked(found.standing.contenders)]
    x = alt.X("percent:Q", title="change of perplexity in percent")
    y = alt.Y("method:N", title=None, sort=order)
    color = method_colors(order)
    points = alt.Chart(frame).mark_circle(size=50, opacity=1).encode(x=x, y=y, color=color)
    bars = alt.Chart(frame).mark_rule(strokeWidth=2)
    bars = bars.encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=color)
    zero = alt.Chart(frame).mark_rule(color=GREY, strokeDash=[3, 3]).encode(x=alt.datum(0))
    header = alt.Header(labelAngle=0, labelAlign="left")
    names = [each.switch.name for each in found.switched]
    rows = alt.Row("switch:N", title=None, sort=names, header=header)
    layers = alt.layer(zero, bars, points).properties(width=380, height=16 * len(order))
    return layers.facet(row=rows)


def _sections(found: Ablation) -> list[str]:
    standing = found.standing
    names = [each.name for each in ranked(standing.contenders)]
    header = ["switched", *names, "ranking", "order"]
    rows = []
    for each in found.switched:
        by_name = {effect.method: effect for effect in each.effects}
        cells = [_cell(by_name.get(name)) for name in names]
        why = f" ({each.reason})" if each.reason else ""
        rows.append([each.switch.name, *cells, f"{each.survival}{why}", " < ".join(each.ranking)])
    meanings = "\n".join(f"- {each.switch.name}: {each.switch.what}." for each in found.switched)
    return [
        "## Baseline",
        markdown(standing.contenders, {}),
        "## Switched",
        aligned(header, rows),
        LEGEND,
        meanings,
    ]


def _cell(effect: Effect | None) -> str:
    if effect is None:
        return "–"
    return "same runs" if effect.same_runs else _shown(effect.percent)


def _shown(estimate: Estimate) -> str:
    if math.isinf(estimate.value):
        return "diverges" if estimate.value > 0 else "diverged before"
    if estimate.reason is not None:
        return f"{estimate.value:+.1f}%"
    return f"{estimate.value:+.1f}% [{estimate.low:+.1f}%, {estimate.high:+.1f}%]"


def _rows(found: Ablation) -> list[dict[str, Any]]:
    return [
        {
            "switch": each.switch.name,
            "method": effect.method,
            "percent": effect.percent.value,
            "low": effect.percent.low,
            "high": effect.percent.high,
            "p_value": effect.percent.p_value,
            "n": effect.percent.n,
            "lr": effect.lr,
            "same_runs": effect.same_runs,
            "ranking": each.survival,
        }
        for each in found.switched
        for effect in each.effects
    ]


def _as_data(found: Ablation) -> dict[str, object]:
    return {
        "experiment": found.name,
        "baseline": [
            {
                "method": each.name,
                "best": dict(each.best),
                "perplexities": [plain(value) for value in each.perplexities],
            }
            for each in ranked(found.standing.contenders)
        ],
        "effects": [{key: plain(value) for key, value in row.items()} for row in _rows(found)],
        "switches": [
            {
                "switch": each.switch.name,
                "ranking": each.ranking,
                "survival": each.survival,
                "reason": each.reason,
                "pairs": [
                    {
                        "better": pair.better,
                        "worse": pair.worse,
                        "survival": pair.survival,
                        "effect": pair.effect,
                        "reason": pair.reason,
                    }
                    for pair in each.pairs
                ],
            }
            for each in found.switched
        ],
    }
