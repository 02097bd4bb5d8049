"""The paper's released result files → runs with what is true about them.

Each file is a table with one run a row, named for what it holds, as in
``Adam_160M_SP_SL2048_3Btok_BS256.pkl``: model, text, sequence length, billions of tokens, batch
size. Labels, tokens, batch sizes and final perplexities are not always what the file says; a
run's notes tell what was read differently, and why.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.imports.table import Cell, Numbers, Table
from descentlab.errors import ConfigError, DataError, nearest
from descentlab.optim.methods import AnyMethod
from descentlab.runs.imported import ImportedRun

NAME = re.compile(
    r"(?P<family>\w{1,40}?)_(?P<model>\d{1,5}[MB])_(?P<text>[A-Z]{1,8})_SL(?P<length>\d{1,6})"
    r"_(?P<billions>\d{1,5})Btok_BS(?P<batch>\d{1,6})\.pkl",
    re.ASCII,
)
TEXTS = {"SP": "SlimPajama", "FW": "FineWeb"}

COLUMNS = ("optim", "num_steps", "bs", "lr", "wd", "beta1", "ppl_all", "ppl_test")
OPTIONAL = ("beta2", "clip", "ppl_train")

UNIFORM = 50_280
"""The vocabulary: the perplexity of a model that knows nothing. Whoever ends above has diverged."""
UNTRAINED = 100_000
"""Above that of any untrained model, exp(ln V + 0.02²·width/2); 57,972 and 58,007 occur."""
NO_CLIPPING = 1000
"""The column ``clip`` says so; where there is none, gradients were clipped to norm 1."""
POSITION_ERROR = 0.022
"""The tracker drew the points of a curve at random, and their steps were not stored."""


class Conditions(NamedTuple):
    """What a file's name tells of all its runs."""

    sweep: str
    model: str
    dataset: str
    sequence_length: int
    billions: int
    batch_size: int


def conditions(name: str) -> Conditions | None:
    """Read a file's name; None if it is none of the paper's.

    >>> conditions("Adam_410M_SP_SL2048_8Btok_BS512.pkl")[1:]
    ('410M', 'SlimPajama', 2048, 8, 512)
    >>> conditions("results.pkl")
    """
    match = NAME.fullmatch(name)
    if match is None or int(match["length"]) == 0 or int(match["batch"]) == 0:
        return None
    return Conditions(
        sweep=name.removesuffix(".pkl"),
        model=match["model"],
        dataset=TEXTS.get(match["text"], match["text"]),
        sequence_length=int(match["length"]),
        billions=int(match["billions"]),
        batch_size=int(match["batch"]),
    )


def released_files(folder: Path) -> list[Path]:
    """The released files in a folder, or in ``data/`` of it, as a clone has them.

    Raises:
        DataError: if there are none.
    """
    for place in (folder, folder / "data"):
        if place.is_dir() and (
            found := sorted(each for each in place.iterdir() if conditions(each.name))
        ):
            return found
    raise DataError(
        f"{folder}: has no released file; they have names such as "
        "Adam_160M_SP_SL2048_3Btok_BS256.pkl, and lie in data/ of the paper's repository"
    )


def released_runs(table: Table, known: Conditions) -> list[ImportedRun]:
    """Turn a released file's table into runs.

    Args:
        table: as it was read.
        known: what its name tells.

    Raises:
        DataError: naming the row and column of what is missing or out of range.
    """
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(f"no column {missing[0]!r}; it has {', '.join(table.columns)}")
    names = [name for name in (*COLUMNS, *OPTIONAL) if name in table.columns]
    runs: list[ImportedRun] = []
    first: dict[Any, int] = {}
    for number in range(table.rows):
        row = _Row(number, {name: table.columns[name][number] for name in names})
        run = _run(row, known)
        key = (run.method, *sorted(run.settings.items()), run.batch_size, run.steps)
        if (original := first.setdefault(key, number)) != number:
            note = f"the same cell as row {original}"
            run = msgspec.structs.replace(run, duplicate_of=original, notes=(*run.notes, note))
        runs.append(run)
    return runs


def file_notes(runs: Sequence[ImportedRun]) -> list[str]:
    """Sum up the notes of a file's runs, and how much of its grid there is."""
    counted = Counter(note for run in runs for note in run.notes)
    notes = [f"{count} of {len(runs)} runs: {note}" for note, count in counted.most_common()]
    cells = {tuple(sorted(run.settings.items())) for run in runs if run.method == runs[0].method}
    values: dict[str, set[Any]] = {}
    for name, value in (pair for cell in cells for pair in cell):
        values.setdefault(name, set()).add(value)
    whole = math.prod(map(len, values.values()))
    if whole > len(cells):
        notes.append(
            f"{len(cells)} of the {whole} cells that the grid of {runs[0].method} would have"
        )
    return notes


class _Row(NamedTuple):
    number: int
    cells: Mapping[str, Cell]

    def wrong(self, name: str, why: str) -> DataError:
        return DataError(f"row {self.number}, column {name!r}: {why}")

    def number_of(self, name: str) -> float:
        """A number, which may be wrapped in an array of no dimensions."""
        cell = self.cells[name]
        if isinstance(cell, Numbers) and cell.shape == []:
            return float(cell.array())
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise self.wrong(name, "is no number")
        return float(cell)

    def count_of(self, name: str) -> int:
        value = self.number_of(name)
        if not value.is_integer() or not 1 <= value <= 10**9:
            raise self.wrong(name, f"is {value:g}; it must be a whole number from 1 to 10⁹")
        return int(value)

    def curve(self) -> NDArray[np.float64]:
        """The training perplexities; none if the cell holds a single value."""
        cell = self.cells["ppl_all"]
        if not isinstance(cell, Numbers) or len(cell.shape) > 1:
            raise self.wrong("ppl_all", "is no list of numbers")
        found = cell.array()
        if (found <= 0).any():
            raise self.wrong("ppl_all", "has a perplexity that is not above 0")
        return found if found.ndim == 1 and not np.isnan(found).all() else np.empty(0)


def _run(row: _Row, known: Conditions) -> ImportedRun:
    method, settings, notes = _method(row)
    given = row.count_of("bs")
    batch_size, batch_notes = _batch_size(given, known)
    steps = row.count_of("num_steps")
    curve = row.curve()
    value = row.number_of("ppl_test")
    final, final_notes = _final(value, curve)
    reported = {} if final is not None else {"final_perplexity": value}
    if given != known.batch_size:
        reported["batch_size"] = given
    tokens = steps * batch_size * known.sequence_length
    if tokens // 10**9 != known.billions:
        notes.append(f"trained on {tokens / 1e9:.2f} billion tokens, though the file's name says "
                     f"{known.billions}")  # fmt: skip
    if len(curve):
        notes.append(f"{len(curve)} points of the curve, drawn at random, without their steps")
    train = row.number_of("ppl_train") if "ppl_train" in row.cells else math.nan
    return ImportedRun(
        sweep=known.sweep,
        row=row.number,
        method=method,
        settings=settings,
        curve=curve,
        position_error=POSITION_ERROR,
        final_perplexity=final,
        train_perplexity=None if math.isnan(train) else train,
        diverged=final is None,
        batch_size=batch_size,
        sequence_length=known.sequence_length,
        steps=steps,
        dataset=known.dataset,
        model=known.model,
        reported=reported,
        notes=(*notes, *batch_notes, *final_notes),
    )


def _method(row: _Row) -> tuple[str, dict[str, float | str], list[str]]:
    """What a label stands for, with its settings under our names, checked against their ranges."""
    label = row.cells["optim"]
    lr, beta1 = row.number_of("lr"), row.number_of("beta1")
    clip = row.number_of("clip") if "clip" in row.cells else 1.0
    notes = [f"clip={clip:g} means no clipping"] if clip >= NO_CLIPPING else []
    settings: dict[str, float | str] = {
        "lr": lr,
        "weight_decay": row.number_of("wd"),
        "clip_norm": "none" if clip >= NO_CLIPPING else clip,
    }
    if label == "adamw":
        if "beta2" not in row.cells:
            raise row.wrong("beta2", "is missing, which adamw needs")
        method, betas, note = _of_adam(beta1, row.number_of("beta2"))
    elif label == "signSGD":
        method, betas, note = "signum", {"beta": beta1, "init": "gradient"}, "signSGD is signum"
    elif label in ("sgd", "clipSGD"):
        method, betas, note = "sgd", {"beta": beta1, "init": "gradient"}, None
        if label == "clipSGD":
            settings["coordinate_clip"] = 1.0
            note = "clipSGD is sgd with clipping by norm and of each coordinate"
    else:
        known = ("adamw", "signSGD", "sgd", "clipSGD")
        given = label if isinstance(label, str) else ""
        raise row.wrong("optim", f"no optimizer is called {given[:40]!r}; {nearest(given, known)}")
    settings |= betas
    try:
        msgspec.convert({"method": method, **settings}, AnyMethod)
    except (msgspec.ValidationError, ConfigError) as error:
        raise DataError(f"row {row.number}: {error}") from None
    return method, settings, [*notes, *filter(None, [note])]


def _of_adam(beta1: float, beta2: float) -> tuple[str, dict[str, float | str], str | None]:
    if beta1 == beta2 == 0:
        return "signsgd", {}, "adamw with beta1 = beta2 = 0 is sign descent"
    if beta1 == 0:
        return "rmsprop", {"beta": beta2}, "adamw with beta1 = 0 is rmsprop"
    return "adam", {"beta1": beta1, "beta2": beta2}, None


def _batch_size(given: int, known: Conditions) -> tuple[int, list[str]]:
    """The sequences per step: a column may give those of one device."""
    whole = known.batch_size
    if given == whole:
        return whole, []
    if whole % given == 0:
        return whole, [f"bs={given} is the batch of one device of {whole // given}"]
    return given, [f"bs={given}, though the file's name says {whole}"]


def _final(value: float, curve: NDArray[np.float64]) -> tuple[float | None, list[str]]:
    """The final held-out perplexity; None if it stands for a run that diverged."""
    if not len(curve):
        return None, [f"diverged: no curve; ppl_test={value:g} was typed by hand"]
    if not math.isfinite(value) or value > UNTRAINED:
        return None, [f"diverged: ppl_test={value:.3g}"]
    if value > UNIFORM:
        return None, [f"diverged: ppl_test={value:.2f} is that of the untrained model"]
    return value, []
