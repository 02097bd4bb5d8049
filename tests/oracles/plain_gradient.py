"""The gradient of a batch in the plainest way: all logits at once, in the weights' own type."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 torch's own name for it
from torch import Tensor, nn


def plain_gradient(model: nn.Module, batch_BL1: Tensor) -> float:
    """Add the gradient of the mean token loss to ``.grad``; return that loss."""
    logits_BLV = model(batch_BL1[:, :-1])
    loss = F.cross_entropy(logits_BLV.flatten(0, 1), batch_BL1[:, 1:].flatten())
    loss.backward()
    return loss.item()
