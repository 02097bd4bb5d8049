"""Encoding by words: each distinct word is encoded once, and the tokens are the same.

A word is the white space before it and what follows up to the next white space. Byte-level
BPE splits a text by GPT-2's pattern before it merges anything, and no match of that pattern
goes on from a character that is not white space to one that is:

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

NFC composes nothing over that bound either. So a text's tokens are its words' tokens, and
since few words make up most of any text, looking them up is several times faster than
encoding them again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import tokenizers

CUT = re.compile(r"(?<=\S)(?=[ \n\t])")
"""Between two words. Python's white space includes all of Unicode's."""
PIECE = 2**20
"""Characters to encode at once; a token takes a hundred bytes while it is made."""
CAPACITY = 2**18
"""Words to remember."""
AT_ONCE = 2**10
"""Words to encode at once; each takes a kilobyte meanwhile."""


def pieces(text: str) -> Iterator[str]:
    """Cut a long text between words, or anywhere where no words end for 2²⁰ characters."""
    start = 0
    while len(text) - start > PIECE:
        stop = start + PIECE
        cuts: list[int] = []
        for window in (2**12, PIECE):  # the last words suffice almost always
            first = max(start + 1, stop - window)
            cuts = cuts or [cut.start() for cut in CUT.finditer(text, first, stop + 1)]
        stop = cuts[-1] if cuts else stop
        yield text[start:stop]
        start = stop
    yield text[start:]


def splits_between_words(model: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer is known to give a text the tokens of its words.

    It is a byte-level BPE with GPT-2's pattern, at most NFC before it, and no added token
    that would match over the bound of two words.
    """
    described = json.loads(model.to_str())
    splitter = described["pre_tokenizer"] or {}
    return (
        described["model"]["type"] == "BPE"
        and not described["model"].get("dropout")
        and (described["normalizer"] or {"type": "NFC"}) == {"type": "NFC"}
        and splitter.get("type") == "ByteLevel"
        and splitter.get("add_prefix_space") is False
        and splitter.get("use_regex", True) is True
        and all(map(_within_a_word, described["added_tokens"]))
    )


def _within_a_word(token: dict[str, object]) -> bool:
    if token["special"]:  # text that spells it out is encoded as any other
        return True
    spread = token["lstrip"] or token["rstrip"] or token["single_word"]
    return not spread and len(CUT.split(str(token["content"]))) == 1


class WordEncoder:
    """Encodes with a memory of words; for models that ``splits_between_words`` accepts.

    Args:
        model: encodes the words that it has not met.
        kind: the type of the ids.
    """

    def __init__(self, model: tokenizers.Tokenizer, kind: Literal["uint16", "uint32"]) -> None:
        self._model = model
        self._kind = kind
        self._known: dict[str, bytes] = {}

    def encode(self, piece: str) -> bytes:
        """Return the ids of a text as bytes, which can be joined without looking at them."""
        known = self._known
        if len(known) > CAPACITY:
            known.clear()
        words = CUT.split(piece)
        unseen = [*set(words).difference(known)]
        for start in range(0, len(unseen), AT_ONCE):
            some = unseen[start : start + AT_ONCE]
            encodings = self._model.encode_batch_fast(some, add_special_tokens=False)
            ids = (np.array(each.ids, self._kind).tobytes() for each in encodings)
            known.update(zip(some, ids, strict=True))
        return b"".join(map(known.__getitem__, words))
