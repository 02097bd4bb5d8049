"""Batches as a pure function of (seed, step).

The training tokens are cut into disjoint rows of ``sequence_length + 1``; a row's inputs
are all but its last token, its targets all but its first. Rows are shuffled once per
epoch and read in order. The optimizer, the number of workers and the size of
micro-batches have no say in what step k reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from descentlab.data.prepare import PreparedData
from descentlab.errors import DataError
from descentlab.seeding import permutation

Tokens = NDArray[np.int64]


class Batches:
    """The batches of one run.

    Args:
        data: verified tokens.
        sequence_length: L, tokens per sequence.
        batch_size: B, sequences per step.
        steps: how many steps the run takes.
        max_epochs: how often it may go through the rows.
        seed: shuffles the rows.

    Raises:
        DataError: if the rows do not suffice for the steps.
    """

    def __init__(
        self,
        data: PreparedData,
        *,
        sequence_length: int,
        batch_size: int,
        steps: int,
        max_epochs: int,
        seed: int,
    ) -> None:
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.seed = seed
        tokens = data.train.tokens
        self.rows = len(tokens) // (sequence_length + 1)
        needed = steps * batch_size
        if needed > self.rows * max_epochs:
            cures = ["fewer steps", "more text"]
            if self.rows:
                cures.append(f"data.max_epochs={math.ceil(needed / self.rows)}")
            raise DataError(
                f"{data.train.path}: {steps} steps of {batch_size} sequences need {needed:,} rows "
                f"of {sequence_length + 1} tokens, the corpus has {self.rows:,}, to be read "
                f"{max_epochs} times at most; take {' or '.join(cures)}"
            )
        self._tokens = tokens
        self._epoch = -1
        self._order: Tokens = np.zeros(0, np.int64)

    def __call__(self, step: int) -> Tokens:
        """Return the rows ``[B, L+1]`` of a step, counted from 1."""
        first = (step - 1) * self.batch_size
        width = self.sequence_length + 1
        rows_BT = np.empty((self.batch_size, width), np.int64)
        for place, index in enumerate(range(first, first + self.batch_size)):
            start = self._row(index) * width
            rows_BT[place] = self._tokens[start : start + width]
        return rows_BT

    def _row(self, index: int) -> int:
        epoch, place = divmod(index, self.rows)
        if epoch != self._epoch:
            self._order = permutation(self.rows, self.seed, "rows", epoch)
            self._epoch = epoch
        return int(self._order[place])


def held_out_batches(
    data: PreparedData, *, sequence_length: int, sequences: int
) -> Iterator[tuple[Tokens, Tokens]]:
    """Yield inputs and targets ``[b, L]`` that predict every held-out token but the first, once.

    Consecutive sequences overlap by the one token that ends the first and begins the
    second. The last sequence may be shorter and comes alone.

    Args:
        data: verified tokens.
        sequence_length: L.
        sequences: how many to yield at once; it does not change which tokens are predicted.
    """
    tokens = data.validation.tokens
    whole = (len(tokens) - 1) // sequence_length
    for start in range(0, whole, sequences):
        count = min(sequences, whole - start)
        first = start * sequence_length
        piece = tokens[first : first + count * sequence_length + 1].astype(np.int64)
        yield piece[:-1].reshape(count, -1), piece[1:].reshape(count, -1)
    rest = tokens[whole * sequence_length :].astype(np.int64)
    if len(rest) > 1:
        yield rest[None, :-1], rest[None, 1:]
