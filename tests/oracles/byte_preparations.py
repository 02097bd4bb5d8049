"""Small preparations of byte tokens, of documents that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracles.preparation import some_documents

from descentlab.data.prepare import PreparedData
from descentlab.data.sharding import prepare_shards
from descentlab.data.shards import open_shards
from descentlab.data.spec import PreparationSpec

DOCUMENTS = some_documents(300)


def spec_of(corpus: Path, **changes: Any) -> PreparationSpec:
    """Shards of 2,000 tokens, a tenth held out, unless changed."""
    settings = {"tokenizer": "byte", "shard_tokens": 2000, "held_out": 0.1, **changes}
    return PreparationSpec(source=str(corpus), **settings)


def made(
    folder: Path, corpus: Path, *, workers: int = 0, told: list[str] | None = None, **changes: Any
) -> PreparedData:
    """Prepare a corpus and open what came of it."""
    told = [] if told is None else told
    prepare_shards(spec_of(corpus, **changes), folder, workers=workers, notice=told.append)
    return PreparedData(*open_shards(folder))
