"""The runs of one study, experiment or imported sweep, to be audited by themselves."""

from __future__ import annotations

import pandas as pd

from descentlab.errors import ConfigError, nearest


def of_study(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs that a study, an experiment or an imported sweep of that name has.

    Args:
        runs: as ``analysis.load`` gives them.
        name: of a study on record, of an experiment with its stages, or of an imported sweep.

    Raises:
        ConfigError: if there is none of that name.
    """
    entries = [
        tuple(each for each in own if name in (each.study, each.experiment))
        for own in runs["entries"]
    ]
    chosen = pd.Series([bool(own) for own in entries], index=runs.index)
    chosen |= runs["sweep"].eq(name) & (runs["source"] != "descentlab")
    if not chosen.any():
        asked = {part for own in runs["entries"] for each in own for part in each[:2]}
        known = asked | {*runs["sweep"][runs["source"] != "descentlab"]}
        raise ConfigError(f"study {name!r}: not in the store; {nearest(name, known)}")
    parts = pd.Series(entries, index=runs.index, dtype=object)
    return runs.assign(entries=parts)[chosen]
