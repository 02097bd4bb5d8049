"""Loss on all held-out tokens, always in the same order and drawing nothing at random."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from descentlab.data.batches import held_out_batches
from descentlab.data.prepare import PreparedData

TokenLosses = Callable[[Tensor, Tensor], Tensor]
"""From inputs and targets ``[b, L]`` to the cross-entropy of each in nats, ``[b·L]``."""


def evaluate(
    token_losses: TokenLosses,
    data: PreparedData,
    *,
    sequence_length: int,
    sequences: int,
    device: torch.device,
) -> float:
    """Return the mean cross-entropy in nats over every held-out token but the first.

    Losses are added in float64, so that the grouping into batches does not show.

    Args:
        token_losses: of the model, as ``Gradient.token_losses``.
        data: verified tokens.
        sequence_length: L.
        sequences: how many to compute at once.
        device: to put them on.
    """
    total = 0.0
    count = 0
    for inputs, targets in held_out_batches(
        data, sequence_length=sequence_length, sequences=sequences
    ):
        losses = token_losses(
            torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
        )
        total += losses.double().sum().item()
        count += targets.size
    return total / count
