"""Loss on all held-out tokens, always in the same order and drawing nothing at random."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from descentlab.data.batches import held_out_batches
from descentlab.data.prepare import PreparedData
from descentlab.train.world import ALONE, World

T = TypeVar("T")

TokenLosses = Callable[[Tensor, Tensor], Tensor]
"""From inputs and targets ``[b, L]`` to the cross-entropy of each in nats, ``[b·L]``."""


def evaluate(
    token_losses: TokenLosses,
    data: PreparedData,
    *,
    sequence_length: int,
    sequences: int,
    device: torch.device,
    here: World = ALONE,
) -> float:
    """Return the mean cross-entropy in nats over every held-out token but the first.

    Losses are added in float64, so that the grouping into batches does not show, and in the
    same order whatever the number of processes, which take batches in turn.

    Args:
        token_losses: of the model, as ``Gradient.token_losses``.
        data: verified tokens.
        sequence_length: L.
        sequences: how many to compute at once.
        device: to put them on.
        here: this process.
    """
    batches = held_out_batches(data, sequence_length=sequence_length, sequences=sequences)
    own: list[float] = []
    count = 0
    for turn in _in_turns(batches, here.size):
        count += sum(targets.size for _, targets in turn)
        # Who has none computes one for nothing, since sharded models are gathered together.
        inputs, targets = turn[min(here.rank, len(turn) - 1)]
        losses = token_losses(
            torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
        )
        if here.rank < len(turn):
            own.append(losses.double().sum().item())
    return sum(here.gathered(own)) / count


def _in_turns(batches: Iterator[T], size: int) -> Iterator[list[T]]:
    """As many batches at a time as there are processes; the last turn may have fewer."""
    while turn := list(itertools.islice(batches, size)):
        yield turn
