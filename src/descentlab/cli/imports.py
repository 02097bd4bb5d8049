"""``descent import``: results of others → runs of a store, to compare with and to replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from collections.abc import Sequence

    from descentlab.analysis.imports.importing import Step
    from descentlab.runs.imported import ImportedRun


def secretsauce(
    folder: Annotated[Path, tyro.conf.Positional],
    store: Annotated[Path, tyro.conf.Positional] = Path("store"),
) -> None:
    """Import the result files that the paper's authors released.

    Clone their repository (github.com/aorvieto/SecretSauce) and give its folder. The files are
    pickles; they are read by a process that has no rights, and nothing in them is executed. A
    file that is in the store already is left as it is.

    Args:
        folder: the clone, or a folder with its files.
        store: the folder of runs to import into.
    """
    from descentlab.analysis.imports.importing import import_released
    from descentlab.analysis.imports.secretsauce import released_files
    from descentlab.runs.store import Store

    released_files(folder)  # a folder without them is refused before a store is made
    import_released(folder, Store(store, create=True), _tell)


def wandb(
    file: Annotated[Path, tyro.conf.Positional],
    store: Annotated[Path, tyro.conf.Positional],
    columns: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
) -> None:
    """Import runs from a history that was exported from W&B.

    Say what is what as key=value, where a value is a column of the file or holds for all its
    runs: loss=train/loss final_loss=val/loss method=adam lr=config.lr beta=0.95. The columns
    of steps and of runs are found by their usual names. docs/importing.md lists the keys.

    Args:
        file: CSV, JSON lines or Parquet; the suffix tells which.
        store: the folder of runs to import into.
        columns: what is what.
    """
    from descentlab.analysis.imports.importing import import_history
    from descentlab.config import override
    from descentlab.errors import ConfigError
    from descentlab.runs.store import Store

    chosen = override({}, columns)
    for name, value in chosen.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ConfigError(f"{name}: give a number, a text or the name of a column")
    _tell(import_history(file, Store(store, create=True), chosen))


def table(
    file: Annotated[Path, tyro.conf.Positional],
    store: Annotated[Path, tyro.conf.Positional] = Path("store"),
) -> None:
    """Import runs from a table in our own columns, which docs/importing.md lists.

    Args:
        file: CSV, JSON lines or Parquet; the suffix tells which.
        store: the folder of runs to import into.
    """
    from descentlab.analysis.imports.importing import import_table
    from descentlab.runs.store import Store

    _tell(import_table(file, Store(store, create=True)))


def listing(store: Annotated[Path, tyro.conf.Positional] = Path("store")) -> None:
    """List what was imported into a store, with notes on where a file and its runs differ.

    Args:
        store: the folder of runs.
    """
    from descentlab.analysis.imports.duplicates import repeated
    from descentlab.runs.imported import imports, read_runs
    from descentlab.runs.store import Store

    opened = Store(store)
    found = [(each, read_runs(opened, each)) for each in imports(opened)]
    for each, runs in found:
        print(f"{each.source.name}: {summary(runs)}")
        print(f"  sha256 {each.source.sha256}")
        for note in each.notes:
            print(f"  {note}")
    for pair in repeated(run for _, runs in found for run in runs):
        what = " and ".join(
            name
            for name, same in (("cell", pair.same_settings), ("curve", pair.same_curve))
            if same
        )
        first, later = (f"{run.sweep} row {run.row}" for run in (pair.first, pair.later))
        print(f"{later} has the {what} of {first}")
    if not found:
        print(f"nothing was imported into {store}")


def import_(
    command: Annotated[
        Annotated[Any, tyro.conf.subcommand("secretsauce", constructor=secretsauce)]
        | Annotated[Any, tyro.conf.subcommand("wandb", constructor=wandb)]
        | Annotated[Any, tyro.conf.subcommand("table", constructor=table)]
        | Annotated[Any, tyro.conf.subcommand("list", constructor=listing)],
        tyro.conf.arg(name=""),
    ],
) -> None:
    """Import results of others through a gate that executes nothing.

    Args:
        command: one of these.
    """


def summary(runs: Sequence[ImportedRun]) -> str:
    """How many runs there are of which methods, and the best of them."""
    methods = ", ".join(dict.fromkeys(run.label for run in runs))
    parts = [f"{len(runs)} runs of {methods}"]
    if diverged := sum(run.diverged for run in runs):
        parts.append(f"{diverged} diverged")
    if duplicates := sum(run.duplicate_of is not None for run in runs):
        parts.append(f"{duplicates} in a cell that was there before")
    finals = [run.final_perplexity for run in runs if run.final_perplexity is not None]
    if finals:
        parts.append(f"best perplexity {min(finals):.3f}")
    return ", ".join(parts)


def _tell(step: Step) -> None:
    what = summary(step.runs) if step.runs else f"{step.done.runs} runs, imported before"
    print(f"{step.done.source.name}: {what}")
