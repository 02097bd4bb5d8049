"""What a source does not tell, so that nobody can check it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence, listed

CHECK = "not-on-record"
ASKED = {
    "seed": "seeds",
    "data": "a hash of the tokens",
    "model": "the model",
    "dataset": "the text",
    "sequence_length": "the sequence length",
    "batch_size": "the batch",
    "steps": "the number of steps",
    "precision": "the precision",
    "weight_decay": "weight decay",
    "clip_norm": "clipping",
}


def not_on_record(evidence: Evidence) -> Iterator[Finding]:
    """Settings that no run of a source tells, though comparisons rest on them."""
    for source, runs in evidence.frame.groupby("source", sort=False):
        if source == "descentlab":
            continue  # a spec says everything
        unknown = [said for name, said in ASKED.items() if runs[name].isna().all()]
        unknown += ["ε"] * _no_eps(runs)
        unknown += ["warm-up and floor of the schedule"] * (not _has(runs, "schedule."))
        if unknown:
            yield Finding(
                severity="note",
                check=CHECK,
                where=str(source),
                what=f"none of the {len(runs):,} runs tells {listed(unknown)}",
                why="That these were equal for all methods is an assumption here, not a finding.",
                settle="Ask for the configuration files of the runs, or repeat the best settings "
                "from specs that tell everything.",
                runs=tuple(runs["run"]),
            )


def _no_eps(runs: pd.DataFrame) -> bool:
    adaptive = runs[runs["method"].isin(("adam", "rmsprop"))]
    return len(adaptive) > 0 and bool(adaptive["eps"].isna().all())


def _has(runs: pd.DataFrame, prefix: str) -> bool:
    return any(key.startswith(prefix) for each in runs["settings"] for key in each)
