"""Writes what an experiment found: tables for people and programs, and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from descentlab.analysis import comparison
from descentlab.analysis.claims.finding import Finding, as_record
from descentlab.analysis.claims.finding import markdown as verdicts
from descentlab.analysis.comparison import Published
from descentlab.analysis.curves import smoothed_mean, training_curve
from descentlab.analysis.figures.learning_rates import perplexity_by_learning_rate
from descentlab.analysis.figures.training import training_curves
from descentlab.charts import save
from descentlab.config import canonical_json
from descentlab.contests.contest import TUNING_SEED, Standing
from descentlab.runs.store import Store
from descentlab.storage import storage_errors

LEGEND = (
    "Held-out perplexity with n seeds that tuning did not see, on the text that it saw; diverged "
    "counts all runs; the paper's models have 160M parameters. Brackets are 95% intervals of "
    "Student's t over paired seeds."
)
SMOOTHING = 0.03
"""Half-life of the smoothing of training curves, as a share of the steps."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an experiment has to say."""

    name: str
    """Of its files."""
    title: str
    purpose: str
    """What it can tell at its scale, for people."""
    standing: Standing
    findings: Sequence[Finding]
    published: Mapping[str, Published] = field(default_factory=dict)
    """The paper's numbers by method."""
    remarks: Sequence[str] = ()
    """Paragraphs below the table."""


def write(report: Report, store: Store, out: Path, warn: Callable[[str], None]) -> str:
    """Write the table as Markdown, CSV and JSON and two figures as SVG and PNG into ``out``.

    Returns:
        The Markdown: the table, and below it the verdicts.

    Raises:
        StorageError: if the folder cannot be written.
    """
    standing, published = report.standing, dict(report.published)
    frame = comparison.table(standing.contenders, published)
    parts = [
        f"# {report.title}",
        report.purpose,
        comparison.markdown(standing.contenders, published),
        LEGEND,
        *report.remarks,
        verdicts(report.findings),
    ]
    text = "\n\n".join(parts) + "\n"
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{report.name}.md").write_text(text, encoding="utf-8")
        frame.to_csv(out / f"{report.name}.csv", index=False)
        (out / f"{report.name}.json").write_bytes(canonical_json(_as_data(report, frame)))
        save_figures(standing, store, out, warn)
    return text


def save_figures(standing: Standing, store: Store, out: Path, warn: Callable[[str], None]) -> None:
    """Draw every trial by its learning rate, and the winners' training, into a folder."""
    names = _names_in_figures(standing)
    best_first = [each.name for each in comparison.ranked(standing.contenders)]
    order = [names[method] for method in best_first if method in names]
    trials = _renamed(_tuning_trials(standing), names)
    curves = _renamed(_winning_curves(standing, store, warn), names)
    save(perplexity_by_learning_rate(trials, order), out / "perplexity-by-learning-rate")
    save(training_curves(curves, order), out / "training-curves")


def _as_data(report: Report, frame: pd.DataFrame) -> dict[str, object]:
    rows = [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    return {
        "table": rows,
        "claims": [as_record(each) for each in report.findings],
        "trials": trials_as_data(report.standing),
    }


def trials_as_data(standing: Standing) -> list[dict[str, object]]:
    """Every run of a contest, for programs."""
    return [
        {
            "method": trial.method,
            **trial.point,
            "seed": trial.seed,
            "run_id": trial.run_id,
            "validation_loss": "diverged" if trial.loss == math.inf else trial.loss,
            "reached": trial.reached,
        }
        for trial in standing.trials
    ]


def plain(value: object) -> object:
    """A cell as JSON has it: no spread is null, a diverged mean says so."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "diverged"
    return value


def _names_in_figures(standing: Standing) -> dict[str, str]:
    """What each method's line is called; methods with the same runs share one line."""
    twins = {each.same_as: each.name for each in standing.contenders if each.same_as}
    return {
        each.name: f"{each.name} = {twins[each.name]}" if each.name in twins else each.name
        for each in standing.contenders
        if not each.same_as
    }


def _renamed(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    kept = frame[frame["method"].isin(list(names))]
    return kept.assign(method=kept["method"].map(dict(names)))


def _tuning_trials(standing: Standing) -> pd.DataFrame:
    rows = [
        {
            "method": trial.method,
            "lr": trial.point["lr"],
            "perplexity": math.nan if trial.loss is None else float(np.exp(trial.loss)),
        }
        for trial in standing.trials
        if trial.seed == TUNING_SEED
    ]
    return pd.DataFrame(rows)


def _winning_curves(standing: Standing, store: Store, warn: Callable[[str], None]) -> pd.DataFrame:
    parts = []
    for method, run_ids in standing.winners.items():
        curves = [training_curve(store, run_id, warn) for run_id in run_ids]
        if not min(map(len, curves)):
            continue
        smooth = smoothed_mean(curves, half_life=SMOOTHING * max(map(len, curves)))
        parts.append(
            pd.DataFrame(
                {
                    "method": method,
                    "step": smooth["step"],
                    "perplexity": np.exp(np.minimum(smooth["loss"], 700.0)),
                }
            )
        )
    columns = pd.DataFrame(columns=pd.Index(["method", "step", "perplexity"]))
    return pd.concat(parts, ignore_index=True) if parts else columns
