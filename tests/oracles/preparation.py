"""What a preparation of byte tokens must give: everything in memory, one document at a time."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path


def stream(
    documents: Sequence[str],
    *,
    seed: int,
    share: float,
    tokens: int | None = None,
    held_out: int | None = None,
) -> tuple[list[int], list[int]]:
    """All documents with an end after each, on two sides, cut to the numbers asked for.

    Without a number to hold out, reading ends with the document that fills training.
    """
    training: list[int] = []
    validation: list[int] = []
    for document in documents:
        side = validation if apart(document, seed=seed, share=share) else training
        side += [*document.encode(), 256]
        if held_out is None and tokens is not None and len(training) >= tokens:
            break
    return training[:tokens], validation[:held_out]


def apart(document: str, *, seed: int, share: float) -> bool:
    """Whether a document is held out, in exact numbers."""
    text = hashlib.sha256(document.encode()).digest()
    mixed = hashlib.sha256(b"%d/held-out/" % seed + text).digest()
    return Fraction(int.from_bytes(mixed[:8], "little"), 2**64) < Fraction(share)


def texts(ids: Sequence[int]) -> list[str]:
    """The documents that byte tokens spell, if they end with the last one."""
    assert ids[-1] == 256
    raw = bytes(token if token < 256 else 0 for token in ids[:-1])
    return raw.decode().split("\0")


def some_documents(count: int, seed: int = 0) -> list[str]:
    """Different texts of different lengths, some with letters of several bytes."""
    draw = random.Random(seed)
    words = ["gradient", "descent", "é", "🎉", "memory", "\n", "of", "both", "<|endoftext|>"]
    return [
        f"{number}: {' '.join(draw.choices(words, k=draw.randrange(1, 20)))}"
        for number in range(count)
    ]


def write_jsonl(path: Path, documents: Sequence[str]) -> Path:
    """A line for each document."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a preparation by its name, but for the lock, which names a process."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
