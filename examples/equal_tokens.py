"""A study as Python, for what is easier to say by a function: descent plan examples/equal_tokens.py

Longer sequences at equal tokens a step and in all. A name behind a colon takes another study of
the file: descent sweep examples/equal_tokens.py:longer has four times the tokens.
"""

from __future__ import annotations

from typing import Any

from descentlab.sweep.axes import powers_of_two
from descentlab.sweep.study import Study


def run(tokens: int) -> dict[str, Any]:
    """What all runs share."""
    return {
        "model": {"size": "laptop"},
        "data": {"vocabulary": 1024, "validation_fraction": 0.015, "max_epochs": 2},
        "optimizer": {"method": "adam", "beta": 0.8},
        "schedule": {"warmup": 0.3},
        "training": {"steps": tokens // 2048},
    }


def lengths(name: str, tokens: int) -> Study:
    """Sequence lengths with batches of 2,048 tokens each."""
    chosen = [32, 64, 128]
    return Study(
        name=name,
        run=run(tokens),
        axes={"optimizer.lr": powers_of_two(-1, 2, times=8e-3)},
        zip=[
            {
                "data.sequence_length": chosen,
                "training.batch_size": [2048 // length for length in chosen],
            }
        ],
        seeds=[0, 1, 2],
    )


def longer() -> Study:
    """The same with more tokens."""
    return lengths("lengths-longer", 4 * 327_680)


study = lengths("lengths", 327_680)
