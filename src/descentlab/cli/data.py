"""``descent data``: text at scale → tokens on disk, and a look at them."""

from __future__ import annotations

import re
import shutil
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from descentlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from descentlab.data.spec import PreparationSpec

UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


def prepare(
    source: Annotated[str, tyro.conf.Positional],
    *,
    tokens: str | None = None,
    held_out: str = "3%",
    tokenizer: str = "gpt-neox",
    out: Path | None = None,
    workers: int | None = None,
    plan: bool = False,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    text_field: str | None = None,
    separator: str = "<|endoftext|>",
    seed: int = 0,
    shard_tokens: str = "67108864",
) -> None:
    """Turn a corpus of any size into tokens to train on: data.corpus = the folder.

    Stop it at any time, by any means: finished shards are kept and the same command goes on,
    to the same bytes. Whole documents are held out, chosen by the hash of their text.

    Args:
        source: slimpajama or fineweb; hf:owner/name for another dataset of the hub; or the path
            of a text, JSONL or Parquet file, of a folder of them, or of a dataset that
            save_to_disk wrote.
        tokens: how many tokens to train on, as in 3.26B, 500M or 3.26e9; all if left out.
        held_out: how many tokens to hold out, as in 10M or 100M; or which share, as in 3%.
        tokenizer: gpt-neox, byte, hf:owner/name, or the path of a tokenizer.json.
        out: the folder to make; data/<name of the source> if left out.
        workers: processes that encode; one per core if left out, 0 for this process alone.
        plan: encode a sample for 20 s, say what all of it takes, and write nothing.
        config: the configuration of a dataset of the hub.
        split: its split; train if left out.
        revision: its branch, tag or commit; main if left out.
        text_field: the field or column that holds the text; text if left out.
        separator: what separates documents inside a plain text file.
        seed: chooses the documents that are held out.
        shard_tokens: about how many tokens a shard has; a stop costs at most one.
    """
    from descentlab.config import build
    from descentlab.data.spec import PreparationSpec
    from descentlab.processes import usable_cores

    settings: dict[str, Any] = {
        "source": source,
        "tokens": None if tokens is None else count(tokens, "tokens"),
        "held_out": share_or_count(held_out),
        "tokenizer": tokenizer,
        "config": config,
        "split": split,
        "revision": revision,
        "text_field": text_field,
        "separator": separator,
        "seed": seed,
        "shard_tokens": count(shard_tokens, "shard_tokens"),
    }
    spec = build(PreparationSpec, settings, where="descent data prepare")
    if workers is not None and workers < 0:
        raise ConfigError(f"workers: got {workers}; 0 encodes in this process, else 1 or more")
    processes = usable_cores() if workers is None else workers
    folder = out or Path("data") / _name_of(source)
    carry_out = _print_plan if plan else _prepare
    carry_out(spec, folder, processes)


def _prepare(spec: PreparationSpec, folder: Path, workers: int) -> None:
    from descentlab.cli.contents import print_contents
    from descentlab.cli.progress import PreparationDisplay, Screen
    from descentlab.data.sharding import prepare_shards

    screen = Screen()
    with PreparationDisplay(folder.name, screen) as display:
        prepare_shards(spec, folder, workers=workers, notice=screen.tell, observe=display.show)
    print_contents(folder)
    print(f'\nTrain on it with: data.corpus = "{folder}"')


def _name_of(source: str) -> str:
    from descentlab.data.text_files import SUFFIXES

    name = Path(source.removeprefix("hf:"))
    return name.stem if name.suffix in SUFFIXES else name.name


def inspect(
    folder: Annotated[Path, tyro.conf.Positional],
    *,
    rows: int = 3,
    sequence_length: int = 2048,
    held_out: bool = False,
    seed: int = 0,
    characters: int = 400,
    verify: bool = False,
) -> None:
    """Show what a prepared dataset holds: counts, and rows as text.

    The rows are the first that a run with this seed trains on.

    Args:
        folder: of the dataset, finished or not.
        rows: how many to show.
        sequence_length: their tokens, less one.
        held_out: show the first held-out rows instead.
        seed: the run's.
        characters: how much of each row to show.
        verify: read every token and compare it with the recorded hashes, and look for documents
            for training that are held out as well.
    """
    from descentlab.cli.contents import print_contents, print_rows, print_unfinished
    from descentlab.cli.progress import Screen
    from descentlab.data.shards import MANIFEST, is_prepared
    from descentlab.data.verification import open_verified, overlapping_documents

    if rows < 0 or sequence_length < 1 or characters < 1:
        raise ConfigError("rows: must be 0 or more, sequence_length and characters 1 or more")
    if not is_prepared(folder):
        raise DataError(f"{folder}: no prepared dataset; descent data prepare makes one")
    if not (folder / MANIFEST).exists():
        print_unfinished(folder)
        return
    screen = Screen()
    open_verified(folder, screen.tell, again=verify)
    if verify and (overlapping := overlapping_documents(folder)):
        raise DataError(f"{folder}: {overlapping:,} documents for training are held out as well")
    print_contents(folder, sequence_length=sequence_length, verified=verify)
    print_rows(folder, rows, sequence_length, held_out, seed, characters)


def data(
    command: Annotated[
        Annotated[Any, tyro.conf.subcommand("prepare", constructor=prepare)]
        | Annotated[Any, tyro.conf.subcommand("inspect", constructor=inspect)],
        tyro.conf.arg(name=""),
    ],
) -> None:
    """Prepare corpora that do not fit into memory, and look at them.

    Args:
        command: one of these.
    """


def count(text: str, name: str) -> int:
    """Read a number of tokens.

    >>> count("3.26B", "tokens"), count("1e6", "tokens"), count("100M", "tokens")
    (3260000000, 1000000, 100000000)
    """
    match = re.fullmatch(r"([0-9_]*\.?[0-9_]+(?:e[0-9]{1,2})?)([kmbgt]?)", text.strip().lower())
    try:
        number = Decimal(match[1]) * UNITS[match[2]] if match else Decimal(0)
    except InvalidOperation:
        number = Decimal(0)
    if number != number.to_integral_value() or not 1 <= number <= 2**62:
        raise ConfigError(f"{name}: got {text!r}; give a number of tokens, as in 3.26B or 500M")
    return int(number)


def share_or_count(text: str) -> float | int:
    """Read how much to hold out.

    >>> share_or_count("3%"), share_or_count("0.03"), share_or_count("10M")
    (0.03, 0.03, 10000000)
    """
    number, percent, rest = text.strip().partition("%")
    if not percent and not re.fullmatch(r"0?\.[0-9]+", number):
        return count(text, "held_out")
    try:
        share = float(Decimal(number) / (100 if percent else 1))
    except InvalidOperation:
        share = 0.0
    if rest or not 0 < share < 1:
        raise ConfigError(
            f"held_out: got {text!r}; give a number of tokens, as in 10M, or a share, as in 3%"
        )
    return share


def _print_plan(spec: PreparationSpec, folder: Path, workers: int) -> None:
    from descentlab.cli.contents import print_table, size
    from descentlab.cli.progress import Screen, duration
    from descentlab.data.forecast import SAMPLE_SECONDS, forecast

    Screen().tell(f"encoding the beginning of {spec.source} for {SAMPLE_SECONDS:.0f} s")
    found = forecast(spec, workers=workers)
    sample = found.sample
    print_table(
        [
            (
                "sample",
                f"{sample.documents:,} documents, {sample.tokens:,} tokens in "
                f"{sample.seconds:.1f} s with {workers or 'no'} workers",
            ),
            ("rate", f"{found.tokens_per_second:,.0f} tokens/s"),
            (
                "text",
                f"{found.bytes_per_token:.2f} bytes per token, "
                f"{found.tokens_per_document:,.0f} tokens per document",
            ),
        ]
    )
    if found.to_read is None or found.to_store is None:
        print("how much text there is is not known; give --tokens to plan for a number of them")
        return
    if found.there_are is not None and found.there_are < 0.95 * found.to_read:
        print(f"warning: the whole corpus has about {found.there_are:,.0f} tokens")
    disk = found.to_store * found.bytes_per_id
    parent = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(parent).free
    print_table(
        [
            (
                "to read",
                f"{found.to_read / found.tokens_per_document:,.0f} documents, "
                f"{size(found.to_read * found.bytes_per_token)} of text",
            ),
            ("tokens", f"{found.to_store:,.0f} on disk, held-out ones among them"),
            ("disk", f"{size(disk)} ({disk:,.0f} bytes), {size(free)} free"),
            ("time", duration(found.to_read / found.tokens_per_second)),
        ]
    )
