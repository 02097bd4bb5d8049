"""What a prepared dataset holds, as text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np

from descentlab.data.batches import Batches
from descentlab.data.prepare import PreparedData
from descentlab.data.shards import (
    PREPARATION,
    SHARD,
    TOKENIZER,
    Counts,
    Preparation,
    ShardState,
    open_shards,
    read_manifest,
    read_sealed,
    shard_folder,
)
from descentlab.data.text_policy import Cleaning
from descentlab.data.tokenizer import saved_tokenizer


def print_contents(
    folder: Path, *, sequence_length: int | None = None, verified: bool = False
) -> None:
    """Print where a finished dataset comes from and what it holds."""
    manifest = read_manifest(folder)
    data = PreparedData(*open_shards(folder))
    bytes_per_id = np.dtype(manifest.train.dtype).itemsize
    rows = [
        *_origin(manifest.preparation),
        *_counted(manifest.counts),
        (
            "shards",
            f"{len(manifest.shards):,} of about {manifest.preparation.spec.shard_tokens:,} tokens, "
            f"{size((len(data.train.tokens) + len(data.validation.tokens)) * bytes_per_id)}",
        ),
    ]
    if sequence_length is not None:
        width = sequence_length + 1
        rows.append(("rows", f"{len(data.train.tokens) // width:,} of {width:,} tokens"))
    verdict = "; every token was read and compared" if verified else ""
    rows.append(("SHA-256", f"{data.sha256}{verdict}"))
    print_table(rows)


def print_unfinished(folder: Path) -> None:
    """Print what an unfinished dataset is to hold and what there is of it."""
    preparation = read_sealed(folder / PREPARATION, Preparation)
    paths = (shard_folder(folder, number) / SHARD for number in count())
    counts, shards = Counts(), 0
    for path in paths:
        if not path.exists():
            break
        counts += read_sealed(path, ShardState).record.counts
        shards += 1
    print_table(
        [
            *_origin(preparation),
            *_counted(counts),
            ("shards", f"{shards:,}; not finished: repeat its descent data prepare"),
        ]
    )


def print_rows(
    folder: Path, rows: int, sequence_length: int, held_out: bool, seed: int, characters: int
) -> None:
    """Print the beginning of some rows as text."""
    data = PreparedData(*open_shards(folder))
    tokenizer = saved_tokenizer(folder / TOKENIZER)
    width = sequence_length + 1
    if held_out:
        tokens = data.validation.tokens
        whole = min(rows, len(tokens) // width)
        chosen = [tokens[row * width : (row + 1) * width] for row in range(whole)]
    else:
        whole = min(rows, len(data.train.tokens) // width)
        chosen = list(
            Batches(
                data,
                sequence_length=sequence_length,
                batch_size=whole,
                steps=1,
                max_epochs=1,
                seed=seed,
            )(1)
        )
    for number, ids in enumerate(chosen, 1):
        text = tokenizer.decode(ids)
        rest = f" … {len(text) - characters:,} more" if len(text) > characters else ""
        kind = "held-out row" if held_out else "row"
        print(f"\n{kind} {number}\n{indented(visible(text[:characters]))}{rest}")


def _origin(preparation: Preparation) -> list[tuple[str, str]]:
    spec, source = preparation.spec, preparation.source
    details = [source.get(name) for name in ("repository", "config", "split", "revision")]
    if "files" in source:
        files = len(source["files"])
        details.append("1 file" if files == 1 else f"{files:,} files")
    where = ", ".join(str(detail) for detail in details if detail)
    return [
        ("source", f"{spec.source} ({where})" if where else spec.source),
        (
            "tokenizer",
            f"{spec.tokenizer}, {preparation.vocabulary:,} ids, "
            f"SHA-256 {preparation.tokenizer_sha256[:12]}…",
        ),
    ]


def _counted(counts: Counts) -> list[tuple[str, str]]:
    changed = Cleaning(
        counts.replaced,
        counts.byte_order_marks,
        counts.carriage_returns,
        counts.nuls,
        counts.too_long,
    ).summary()
    tokens = counts.train_tokens + counts.held_out_tokens + counts.surplus_tokens
    return [
        ("tokens", f"{counts.train_tokens:,} to train on, {counts.held_out_tokens:,} held out"),
        (
            "documents",
            f"{counts.documents:,} read: {counts.train_documents:,} to train on, "
            f"{counts.held_out_documents:,} held out, {counts.surplus_documents:,} more than was "
            f"asked for, {counts.policy_documents:,} without text or too long",
        ),
        (
            "text",
            f"{size(counts.text_bytes)}, {counts.text_bytes / max(1, tokens):.2f} bytes per token",
        ),
        ("changed", changed or "nothing"),
    ]


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Print a line for each name and its text."""
    for name, text in rows:
        print(f"{name:<9}  {visible(text)}")


def visible(text: str) -> str:
    """Spell out what would not be seen or would move a terminal's cursor."""
    kept = (each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)
    return "".join(kept)


def indented(text: str) -> str:
    """Set lines two spaces in."""
    return "\n".join(f"  {line}" for line in text.split("\n"))


def size(number: float) -> str:
    """Bytes as people say them.

    >>> size(999), size(6.7e9)
    ('999 B', '6.7 GB')
    """
    units = ["kB", "MB", "GB"]
    if number < 1000:
        return f"{number:.0f} B"
    while (number := number / 1000) >= 1000 and len(units) > 1:
        del units[0]
    return f"{number:.1f} {units[0]}"
