"""A run's own steps on random tokens, for as long as somebody looks: to time it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from descentlab.data.prepare import PreparedData
from descentlab.data.token_file import Header, TokenFile
from descentlab.train.environment import set_up_process
from descentlab.train.loop import Observer, train
from descentlab.train.spec import RunSpec, run_spec

ENDLESS = 10**9
"""Steps."""


@dataclass(frozen=True)
class Rehearsal:
    """Trains a run without end, and keeps nothing; a contender of ``turns``.

    Args:
        settings: of the run. Its steps, evaluations and corpus play no part.
    """

    settings: dict[str, Any]

    def __call__(self, turn: Callable[[], None]) -> None:
        """Call ``turn`` before each step."""
        given = run_spec(self.settings, where="rehearsal")
        settings = msgspec.to_builtins(given)
        settings["training"] |= {"steps": ENDLESS, "evaluate_every": 0}
        settings["data"] |= {"max_epochs": 2**40}
        if given.execution.compile == "auto":
            raise ValueError("a rehearsal has no length to choose by; compile always or never")
        spec = run_spec(settings, where="rehearsal")
        set_up_process(spec)

        def ignore(record: object) -> None: ...

        observer = Observer(metrics=ignore, timing=ignore, boundary=lambda training: turn())
        train(spec, random_tokens(spec), observer)


def random_tokens(spec: RunSpec) -> PreparedData:
    """Tokens for a few different batches, drawn evenly from the vocabulary."""
    count = 4 * spec.training.batch_size * (spec.data.sequence_length + 1)
    tokens = np.random.default_rng(0).integers(spec.model.vocabulary, size=count, dtype=np.uint32)
    header = Header(
        dtype="uint32",
        vocabulary=spec.model.vocabulary,
        count=count,
        sha256="",
        tokenizer_sha256="",
        text_sha256="",
    )
    file = TokenFile(Path("random tokens"), header, tokens)
    return PreparedData(train=file, validation=file)
