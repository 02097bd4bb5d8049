"""The columns of the ledger: the paper's runs, and everybody else's by model and budget."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from descentlab.analysis.amounts import short
from descentlab.analysis.claims.evidence import CONDITION, Evidence, prepared
from descentlab.analysis.claims.finding import LackingEvidence
from descentlab.analysis.frame import load, load_curves
from descentlab.paper.published import seed_noise
from descentlab.paper.table1 import SCALES
from descentlab.runs.store import Store

PAPER = "the paper's runs"
TABLE1_CONDITION = {
    "model": "160M",
    "dataset": "SlimPajama",
    "sequence_length": 2048,
    "batch_size": 256,
    "steps": 6200,
}
"""Of the runs behind Table 1."""


SPEC = "a study of examples/paper-160m.toml"

BATCH_STUDY_STEPS = 4800
"""Of the paper's study of batch sizes, at batch 256: 2.5 billion tokens."""


def at_batch(evidence: Evidence, factor: float) -> Evidence:
    """The same tokens with another batch size; the paper's study of it has fewer tokens.

    Raises:
        LackingEvidence: for the batch size itself, where that is the scale's own condition.
    """
    steps = evidence.condition["steps"]
    if evidence.name == PAPER:
        steps = BATCH_STUDY_STEPS
    elif factor == 1:
        raise LackingEvidence("a budget of its own is the paper's alone")
    batch = evidence.condition["batch_size"] * factor
    return evidence.at(batch_size=batch, steps=steps / factor)


def at_quarter_length(evidence: Evidence) -> Evidence:
    """The same tokens in sequences of a quarter of the length, 512 in the paper."""
    length, steps = evidence.condition["sequence_length"], evidence.condition["steps"]
    return evidence.at(sequence_length=length / 4, steps=steps * 4)


def at_other_text(evidence: Evidence) -> Evidence:
    """The same on another text without weight decay, FineWeb in the paper.

    Raises:
        LackingEvidence: if there is no other text.
    """
    here = evidence.runs[evidence.runs["model"] == evidence.condition["model"]]
    texts = sorted(set(here["dataset"].dropna()) - {evidence.condition["dataset"]})
    if not texts:
        raise LackingEvidence("no runs on another text")
    changes = {"dataset": texts[0]}
    if "data" in evidence.condition:
        tokens = here.loc[here["dataset"] == texts[0], "data"].dropna()
        changes["data"] = tokens.iloc[0]
    return evidence.at(**changes)


def at_410m(evidence: Evidence) -> Evidence:
    """The paper's larger model, whatever its batch size and steps.

    Raises:
        LackingEvidence: at scales of another model.
    """
    if evidence.name == PAPER:
        larger = {"model": "410M", "dataset": evidence.condition["dataset"]}
        return replace(evidence, condition=larger)
    if evidence.condition["model"] != "410M":
        raise LackingEvidence("no model of 410M parameters")
    return evidence


def scales(
    stores: Sequence[Store],
    only: Collection[str] | None = None,
    loaded: Sequence[pd.DataFrame] | None = None,
) -> list[Evidence]:
    """What some stores know, a scale each: the paper's first, then by model and budget.

    A scale's main condition is the one with most methods, and of several the one with most runs.

    Args:
        stores: where the runs are.
        only: the ids of those to take; all if left out.
        loaded: what ``load`` gives of each store, if it is known.
    """
    frames = [load(store) for store in stores] if loaded is None else loaded
    placed = [frame.assign(store=place) for place, frame in enumerate(frames)]
    whole = pd.concat(placed, ignore_index=True)
    runs = prepared(whole if only is None else whole[whole["run"].isin(set(only))])

    def curves(names: Sequence[str]) -> pd.DataFrame:
        wanted = runs[runs["run"].isin(names)]
        parts = [
            load_curves(store, list(wanted.loc[wanted["store"] == place, "run"]))
            for place, store in enumerate(stores)
        ]
        return pd.concat(parts, ignore_index=True)

    paper = runs["source"] == "secretsauce"
    found = [
        Evidence(
            name=PAPER,
            runs=runs[paper],
            condition=TABLE1_CONDITION,
            noise=seed_noise(),
            unequal_budgets=True,
            curves=curves,
            settle=f"import such of the paper's files as have it, or train {{needs}}: {SPEC}",
        )
    ] * bool(paper.any())
    others = runs[~paper & runs["model"].notna() & runs["tokens"].notna()]
    models = dict(tuple(others.groupby(["source", "model"], sort=True)))
    for (source, model), family in models.items():
        for tokens in sorted(set(family["tokens"])):
            name = f"{model}, {short(tokens)} tokens"
            found.append(
                Evidence(
                    name=name if source == "descentlab" else f"{name} ({source})",
                    runs=family,
                    condition=_main(family[family["tokens"] == tokens]),
                    curves=curves,
                    ours=source == "descentlab",
                    contest=str(model) if model in SCALES else "",
                )
            )
    return found


def _main(runs: pd.DataFrame) -> dict[str, Any]:
    columns = [*CONDITION, "conditions"]
    groups = runs.groupby(columns, dropna=False, sort=True)["method"].agg(["nunique", "size"])
    best = groups.sort_values(["nunique", "size"], kind="stable").index[-1]
    return dict(zip(columns, best, strict=True))
