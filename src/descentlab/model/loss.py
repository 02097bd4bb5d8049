"""The cross-entropy of next tokens, from the states that the head takes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from descentlab.model.projection import Project, plain


def token_losses(
    x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, project: Project = plain
) -> Tensor:
    """Cross-entropy in nats of each target, ``[N]`` in float32.

    Args:
        x_ND: states after the last norm.
        weight_VD: of the head.
        targets_N: token ids.
        project: how the logits ``[N, V]`` are computed.
    """
    return F.cross_entropy(project(x_ND, weight_VD).float(), targets_N, reduction="none")
