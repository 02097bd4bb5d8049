"""The cross-entropy of next tokens, from the states that the head takes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from descentlab.model.projection import Project, plain


def token_losses(
    x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, project: Project = plain
) -> Tensor:
    """Cross-entropy in nats of each target, ``[N]``, in float32 at least.

    Args:
        x_ND: states after the last norm.
        weight_VD: of the head.
        targets_N: token ids.
        project: how the logits ``[N, V]`` are computed.
    """
    logits_NV = project(x_ND, weight_VD)
    wide = torch.promote_types(logits_NV.dtype, torch.float32)
    return F.cross_entropy(logits_NV.to(wide), targets_N, reduction="none")
