"""A study of two methods that takes a second to train, and changes to its file."""

from __future__ import annotations

from pathlib import Path

STUDY = """
name = "two"
seeds = 2

[run.model]
size = "tiny"

[run.data]
corpus = "corpus.txt"
separator = "\\f"
tokenizer = "byte"
sequence_length = 16
validation_fraction = 0.2

[run.training]
steps = 5
batch_size = 4

[methods.adam]
optimizer = { method = "adam" }

[methods.adam.axes]
"optimizer.lr" = { powers_of_two = [0, 2], times = 1e-3 }
"optimizer.beta" = { halving_one_minus = [0.8, 0.95] }

[methods.sgd]
optimizer = { method = "sgd", beta = 0.9 }

[methods.sgd.axes]
"optimizer.lr" = [0.5, 1]
"""


def rewrite(old: str, new: str) -> None:
    text = Path("study.toml").read_text()
    assert old in text
    Path("study.toml").write_text(text.replace(old, new))


def make_small() -> None:
    """Leave 3 settings of adam and 2 of sgd, with one seed."""
    rewrite("seeds = 2", "seeds = 1")
    rewrite("powers_of_two = [0, 2]", "powers_of_two = [0, 0]")
