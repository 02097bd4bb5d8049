"""Writes what a comparison found: Markdown for people, CSV and JSON for programs, figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from descentlab.analysis.claims.finding import as_record
from descentlab.analysis.comparison import Contender, aligned, plus_minus, ranked, symbol
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.config import canonical_json
from descentlab.contests import report
from descentlab.contests.admission import DECISIVE, failures_of
from descentlab.contests.compare import Comparison
from descentlab.contests.verdicts import Against, against_best, neighbours, sentence
from descentlab.optim.conformance.outcome import Outcome
from descentlab.runs.store import Store
from descentlab.storage import storage_errors

NAME = "comparison"
LEGEND = (
    "Perplexity on held-out text: mean ± 2σ over n seeds that tuning did not see, the same for "
    "all. Against the best: how much higher it is, with a 95% interval of Student's t over paired "
    "seeds; p is that of no difference, by Holm's method for all rows. Trials are settings tried "
    "in tuning, as many for each; diverged counts all runs."
)
COST_LEGEND = (
    "State: bytes per parameter that it keeps between steps. Update: time of its step alone, over "
    "that of torch's fused AdamW on the same tensors, those of the model. Step: its update and the "
    "gradient, which takes all the same time. At equal time: perplexity of the same setting "
    "trained again with as many steps as fit into the time of the fastest."
)


def write(
    found: Comparison,
    outcomes: Mapping[str, Sequence[Outcome]],
    *,
    title: str,
    purpose: str,
    store: Store,
    out: Path,
    warn: Callable[[str], None],
) -> str:
    """Write the comparison into a folder.

    Args:
        found: what came out.
        outcomes: of the conformance kit, by candidate.
        title: for people.
        purpose: what it can tell at its scale.
        store: where the runs lie.
        out: the folder.
        warn: shows the user one line.

    Returns:
        The Markdown.

    Raises:
        StorageError: if the folder cannot be written.
    """
    rows = rows_of(found)
    text = "\n\n".join(
        [f"# {title}", purpose, *_sections(found, outcomes, rows)]
    )  # each section stands by itself
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{NAME}.md").write_text(text + "\n", encoding="utf-8")
        pd.DataFrame(rows).to_csv(out / f"{NAME}.csv", index=False)
        (out / f"{NAME}.json").write_bytes(canonical_json(_as_data(found, outcomes, rows)))
        report.save_figures(found.standing, store, out, warn)
    return text + "\n"


def rows_of(found: Comparison) -> list[dict[str, Any]]:
    """The lines of the CSV, the best first; what is not known is NaN."""
    against = against_best(found.standing.contenders)
    return [_row(found, each, against) for each in ranked(found.standing.contenders)]


def _sections(
    found: Comparison, outcomes: Mapping[str, Sequence[Outcome]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    findings = neighbours(found.standing.contenders)
    parts = [_ranking(found.standing.contenders), LEGEND]
    parts += [
        f"{each.name} and {each.same_as} are the same runs, trained once."
        for each in found.standing.contenders
        if each.same_as
    ]
    parts += ["## Verdicts", "\n".join(f"- {sentence(each)}" for each in findings)]
    if found.costs or found.paces:
        parts += ["## Cost", _costs(rows), COST_LEGEND]
    parts += ["## How each was searched", "\n".join(f"- {line}" for line in searched(found))]
    if outcomes:
        parts += ["## Conformance", _conformance(outcomes)]
    parts += ["## Audit", found.audited, *_audit(found)]
    return parts


def _ranking(contenders: Sequence[Contender]) -> str:
    tuned = list(dict.fromkeys(name for each in contenders for name in each.best))
    against = {each.name: each for each in against_best(contenders)}
    header = ["", "method", *(f"best {symbol(name)}" for name in tuned), "perplexity ± 2σ"]
    header += ["against the best", "p", "n", "trials", "diverged"]
    rows = [
        [
            str(place),
            each.name + ("*" if each.edges else ""),
            *(f"{each.best[name]:.4g}" if name in each.best else "" for name in tuned),
            plus_minus(each.mean, each.two_sigma),
            _shown(against[each.name].percent) if each.name in against else "",
            _p(against[each.name].p_value) if each.name in against else "",
            str(len(each.losses)),
            str(each.trials),
            f"{each.diverged}/{each.runs}",
        ]
        for place, each in enumerate(ranked(contenders), start=1)
    ]
    note = "\n\n\\* The best setting lies on an edge of what was tried."
    return aligned(header, rows) + (note if any(each.edges for each in contenders) else "")


def _shown(estimate: Estimate) -> str:
    if not math.isfinite(estimate.value):
        return "diverged" if estimate.value > 0 else "–"
    if estimate.reason is not None:
        return f"{estimate.value:+.1f}%"
    return f"{estimate.value:+.1f}% [{estimate.low:+.1f}%, {estimate.high:+.1f}%]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _costs(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["method", "state", "update", "step ms", "steps at equal time", "perplexity", "rank"]
    cells = [
        [
            row["method"],
            _number(row["state_bytes"], ".3g"),
            _number(row["update_ratio"], ".2f", "×"),
            _number(row["step_ms"], ".3g"),
            _number(row["equal_time_steps"], ".0f"),
            plus_minus(row["equal_time_perplexity"], math.nan),
            _number(row["equal_time_rank"], ".0f"),
        ]
        for row in rows
    ]
    return aligned(header, cells)


def _number(value: float, form: str, unit: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{form}}{unit}"


def searched(found: Comparison) -> list[str]:
    """For each candidate, in a sentence, what was tried."""
    lines = []
    for each in found.candidates:
        grids = "; ".join(f"{symbol(axis.name)} {_values(axis.values)}" for axis in each.entry.axes)
        said = "".join(f"; {remark}" for remark in each.remarks)
        lines.append(f"{each.name}: {grids}, then extended at edges and refined{said}.")
    return lines


def _values(values: Sequence[float]) -> str:
    if len(values) > 7:
        return f"{values[0]:g}, {values[1]:g}, …, {values[-1]:g} ({len(values)})"
    return ", ".join(f"{value:g}" for value in values)


def tested(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, list[str]]:
    """By candidate, how many checks it passed, and then a sentence for each that it failed."""
    found: dict[str, list[str]] = {}
    for name, own in outcomes.items():
        passed = sum(each.verdict == "pass" for each in own)
        failures = failures_of(own)
        found[name] = [f"{name}: {passed} checks passed, {len(failures)} failed"]
        for each in failures:
            doubt = DECISIVE.get(each.check)
            grave = f" This makes the comparison doubtful: {doubt}." if doubt else ""
            found[name].append(f"{each.check}: {each.message}.{grave}")
    return found


def _conformance(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    lines = []
    for first, *failures in tested(outcomes).values():
        lines += [f"- {first}", *(f"    - {each}" for each in failures)]
    return "\n".join(lines)


def _audit(found: Comparison) -> list[str]:
    lines = [f"- {each.severity}, {each.check}: {each.what}. {each.settle}" for each in found.audit]
    return ["\n".join(lines)] if lines else []


def _row(found: Comparison, each: Contender, against: Sequence[Against]) -> dict[str, Any]:
    """One line of the CSV."""
    other = next((one for one in against if one.name == each.name), None)
    cost = next((one for one in found.costs if one.optimizer == each.name), None)
    pace = found.paces.get(each.name)
    nan = math.nan
    return {
        "rank": 1 + [one.name for one in ranked(found.standing.contenders)].index(each.name),
        "method": each.name,
        **{axis: each.best.get(axis, nan) for axis in _tuned(found)},
        "perplexity": each.mean,
        "two_sigma": each.two_sigma,
        "n": len(each.losses),
        "above_best_percent": other.percent.value if other else 0.0,
        "low": other.percent.low if other else nan,
        "high": other.percent.high if other else nan,
        "p_holm": other.p_value if other else nan,
        "trials": each.trials,
        "diverged": each.diverged,
        "runs": each.runs,
        "on_edge": ", ".join(each.edges),
        "same_runs_as": each.same_as or "",
        "state_bytes": cost.state_bytes if cost else nan,
        "update_ratio": cost.ratio if cost else nan,
        "step_ms": 1e3 * pace.seconds if pace else nan,
        "equal_time_steps": pace.steps if pace else nan,
        "equal_time_perplexity": _perplexity(pace.losses) if pace else nan,
        "equal_time_rank": _rank(found, each.name) if pace else nan,
    }


def _tuned(found: Comparison) -> list[str]:
    return list(dict.fromkeys(name for each in found.standing.contenders for name in each.best))


def _perplexity(losses: Sequence[float]) -> float:
    return float(np.mean(np.exp(np.minimum(losses, 700.0)))) if max(losses) < 700 else math.inf


def _rank(found: Comparison, name: str) -> int:
    order = sorted(found.paces, key=lambda each: _perplexity(found.paces[each].losses))
    return 1 + order.index(name)


def _as_data(
    found: Comparison, outcomes: Mapping[str, Sequence[Outcome]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, object]:
    return {
        "experiment": found.name,
        "table": [{key: report.plain(value) for key, value in row.items()} for row in rows],
        "verdicts": [as_record(each) for each in neighbours(found.standing.contenders)],
        "candidates": [
            {
                "name": each.name,
                "written": each.origin,
                "optimizer": dict(each.entry.optimizer),
                "axes": {axis.name: axis.values for axis in each.entry.axes},
                "remarks": list(each.remarks),
            }
            for each in found.candidates
        ],
        "conformance": {
            name: [{"check": each.check, "message": each.message} for each in failures_of(own)]
            for name, own in outcomes.items()
        },
        "costs": [msgspec.to_builtins(each) for each in found.costs],
        "audit": [msgspec.to_builtins(each) for each in found.audit],
        "trials": report.trials_as_data(found.standing),
    }
