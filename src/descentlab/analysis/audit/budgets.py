"""Whether the names of released files agree with the runs in them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence, billions
from descentlab.analysis.imports.secretsauce import conditions

BUDGET, BATCH = "budget-name", "batch-name"


def budget_name(evidence: Evidence) -> Iterator[Finding]:
    """Files whose name says another number of tokens than their runs trained on."""
    said, runs = [], []
    for sweep, own in _released(evidence.frame):
        known = conditions(f"{sweep}.pkl")
        wrong = own[own["tokens"] // 10**9 != known.billions] if known else own[:0]
        if known is not None and len(wrong):
            counts = ", ".join(
                f"{billions(tokens)} ({steps:,} steps)"
                for (tokens, steps) in wrong[["tokens", "steps"]].drop_duplicates().to_numpy()
            )
            said.append(f"{sweep} says {known.billions}B, and {len(wrong):,} of its {len(own):,} "
                        f"runs trained on {counts}")  # fmt: skip
            runs += list(wrong["run"])
    if said:
        yield Finding(
            severity="warning",
            check=BUDGET,
            where="secretsauce",
            what="; ".join(said),
            why="Whoever compares files by their names compares different budgets, or leaves out "
            "what belongs in.",
            settle="Group runs by steps × batch × length, as here; rename the files.",
            runs=tuple(runs),
        )


def batch_name(evidence: Evidence) -> Iterator[Finding]:
    """Files whose batch column contradicts their name."""
    for sweep, own in _released(evidence.frame):
        batches = [each.get("batch_size", 0) for each in own["reported"]]
        wrong, known = own[[bool(each) for each in batches]], conditions(f"{sweep}.pkl")
        if known is None or wrong.empty:
            continue
        given = int(max(batches))
        row = wrong.iloc[0]
        per_batch = int(row["steps"]) * known.sequence_length
        resolved = known.batch_size % given == 0
        reading = (
            f"read as the batch of one device of {known.batch_size // given}, which gives "
            f"{billions(per_batch * known.batch_size)}"
            if resolved
            else "no whole number of devices makes one of the other"
        )
        yield Finding(
            severity="warning" if resolved else "error",
            check=BATCH,
            where=str(sweep),
            what=f"{len(wrong):,} of {len(own):,} runs say batch {given}, the name says "
            f"{known.batch_size} and {known.billions}B tokens; {row['steps']:,} steps of {given} "
            f"are {billions(per_batch * given)}; {reading}",
            why="Batch and tokens decide what these runs can be compared with, and here they are "
            "inferred.",
            settle="Ask for the number of devices, or repeat one run with either batch and see "
            "which gives its curve.",
            runs=tuple(wrong["run"]),
        )


def _released(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    released = frame[frame["source"] == "secretsauce"]
    for sweep, own in released.groupby("sweep", sort=False):
        yield str(sweep), own
