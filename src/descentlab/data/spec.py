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
    """``sotu``; the path of a text, JSONL or Parquet file, or of a folder of them; or the folder
    of a prepared dataset, which leaves only ``sequence_length`` and ``max_epochs`` to choose."""
    text_field: str = "text"
    """The field or column that holds the text in JSONL and Parquet."""
    separator: str = "<|endoftext|>"
    """What separates documents inside a plain text file."""
    tokenizer: str = "bpe"
    """``bpe`` trained on the corpus, ``byte``, ``gpt-neox``, ``hf:owner/name``, or the path of a
    ``tokenizer.json``."""
    vocabulary: Annotated[int, msgspec.Meta(ge=2, le=2**31)] | None = None
    """Size of the vocabulary to train; the other tokenizers bring their own."""
    sequence_length: PositiveInt = 64
    """Tokens that a sequence predicts; each is read from a row of one more."""
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


class PreparationSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tokens a preparation at scale makes, whatever the number of processes.

    Raises:
        ConfigError: if a number of held-out tokens stands without one for training.
    """

    source: str
    """A preset, ``hf:`` and a repository of a hub, or a path."""
    config: str | None = None
    """The configuration of a repository; the preset's, or its only one, if left out."""
    split: str | None = None
    """The split of a repository; the preset's, or ``train``, if left out."""
    revision: str | None = None
    """The branch, tag or commit of a repository; the preset's, or ``main``, if left out."""
    text_field: str | None = None
    """The field or column that holds the text; the preset's, or ``text``, if left out."""
    separator: str = "<|endoftext|>"
    """What separates documents inside a plain text file."""
    tokenizer: str = "gpt-neox"
    """``gpt-neox``, ``byte``, ``hf:owner/name``, or the path of a ``tokenizer.json``."""
    tokens: PositiveInt | None = None
    """How many tokens to train on; all that there are if left out."""
    held_out: PositiveInt | Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.03
    """How many tokens to hold out; or, below 1, which share of the documents."""
    seed: NonNegativeInt = 0
    """Chooses the documents that are held out."""
    shard_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**40)] = 2**26
    """About how many tokens a shard has; what a stop can cost."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigError("separator: must not be empty; say what separates documents")
        if self.tokenizer == "bpe":
            raise ConfigError(
                "tokenizer: bpe is trained on a corpus in memory; here it is gpt-neox, byte, "
                "hf:owner/name, or the path of a tokenizer.json"
            )
        if isinstance(self.held_out, int):
            if self.tokens is None:
                raise ConfigError(
                    "held_out: a number of tokens needs a number of tokens to train on beside "
                    "it, to know which share of the documents that is; give tokens, or a share"
                )
            if self.held_out > self.tokens:
                raise ConfigError(
                    f"held_out: {self.held_out:,} tokens are more than the {self.tokens:,} to "
                    "train on"
                )

    def share(self) -> float:
        """Share of the documents to hold out.

        For a number of tokens it is 5% larger than it should be, so that the number is
        reached before training has its tokens; documents after that are left out.
        """
        if isinstance(self.held_out, float):
            return self.held_out
        assert self.tokens is not None
        return 1.05 * self.held_out / (self.held_out + self.tokens)
