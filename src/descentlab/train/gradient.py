"""The gradient of a batch's mean token loss, at a run's precision, compiled where it pays.

A batch goes through the model in micro-batches, and the states of each through head and loss
in chunks, so that the logits of all its tokens are never held at once. The gradients of all
pieces are added in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from descentlab.model.loss import token_losses
from descentlab.model.transformer import Transformer
from descentlab.train.compiler import forget_others, keep_compiled
from descentlab.train.computation import Computation

TOKENS_AT_ONCE = 8192
"""Held-out tokens that go through the model together, if nothing is compiled for others."""


class Gradient:
    """Leaves gradients in a model, and gives its losses at the same precision.

    Args:
        model: on its device. Precision ``bfloat16`` makes its parameters bfloat16, in place.
        how: what to compute with.
        length: tokens of a sequence at most.
        micro_batch: sequences that go through the model at once.
    """

    def __init__(
        self, model: Transformer, how: Computation, *, length: int, micro_batch: int
    ) -> None:
        if how.precision == "bfloat16":
            model.to(torch.bfloat16)
        self._model = model
        self._narrow = [each for each in model.parameters() if each.itemsize < 4]
        self.device = model.head.weight.device
        self._shape = (micro_batch, length)
        self._compiled = how.compiled
        self._chunk = how.loss_chunk
        self._kernels = how.kernels(length, self.device)
        self._hidden, self._losses = self._plain_hidden, self._plain_losses
        if how.compiled:
            keep_compiled()
            forget_others((model.spec, how, self._shape, self.device))
            self._hidden = torch.compile(self._plain_hidden, dynamic=False)
            self._losses = torch.compile(self._plain_losses, dynamic=False)

    def __call__(self, batch_BL1: Tensor) -> float:
        """Leave the gradient of the mean token loss in the parameters' empty ``.grad``.

        Args:
            batch_BL1: token rows ``[B, L+1]`` on the model's device.

        Returns:
            That loss in nats.
        """
        count = batch_BL1[:, 1:].numel()
        losses: list[Tensor] = []
        sums: list[Tensor] = []
        pieces = batch_BL1.split(self._shape[0])
        for place, piece_BL1 in enumerate(pieces, start=1):
            if isinstance(self._model, FSDPModule):  # reduces once, with the last piece
                self._model.set_requires_gradient_sync(place == len(pieces))
            losses += self._piece(piece_BL1, count)
            if self._narrow:
                self._move_to(sums)
        for parameter, total in zip(self._narrow, sums, strict=True):
            parameter.grad = total.to(parameter.dtype)
        return sum(loss.item() for loss in losses)

    @property
    def sequences_at_once(self) -> int:
        """How many held-out sequences suit ``token_losses``: as many as it was compiled for."""
        micro_batch, length = self._shape
        return micro_batch if self._compiled else max(1, TOKENS_AT_ONCE // length)

    def token_losses(self, inputs_BL: Tensor, targets_BL: Tensor) -> Tensor:
        """Cross-entropy in nats of each target, ``[B·L]`` in float32, without a gradient."""
        count = targets_BL.numel()
        missing = self._shape[0] - len(inputs_BL)
        fits = self._compiled and missing >= 0 and inputs_BL.shape[1] == self._shape[1]
        hidden, token_losses = self._plain_hidden, self._plain_losses
        if fits:
            hidden, token_losses = self._hidden, self._losses
            inputs_BL, targets_BL = (
                F.pad(each, (0, 0, 0, missing)) for each in (inputs_BL, targets_BL)
            )
        with torch.set_grad_enabled(fits):  # what was compiled keeps what a gradient needs
            x_ND = hidden(inputs_BL, self._model.rotation(inputs_BL)).detach().flatten(0, 1)
            chunks = zip(
                x_ND.split(self._chunk), targets_BL.flatten().split(self._chunk), strict=True
            )
            losses = [token_losses(x.requires_grad_(fits), t).detach() for x, t in chunks]
        return torch.cat(losses)[:count]

    def _piece(self, piece_BL1: Tensor, count: int) -> list[Tensor]:
        """Add the gradient of some sequences' share of the mean; return its parts."""
        inputs_BL = piece_BL1[:, :-1]
        x_BLD = self._hidden(inputs_BL, self._model.rotation(inputs_BL))
        x_ND, targets_N = x_BLD.detach().flatten(0, 1), piece_BL1[:, 1:].flatten()
        weight = self._model.head.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        grad_ND, grad_weight = torch.empty_like(x_ND), torch.zeros_like(weight, dtype=wide)
        losses: list[Tensor] = []
        for start in range(0, len(x_ND), self._chunk):
            chunk = slice(start, start + self._chunk)
            x_chunk = x_ND[chunk].requires_grad_()
            loss = self._losses(x_chunk, targets_N[chunk]).sum() / count
            grad_ND[chunk], grad = torch.autograd.grad(loss, (x_chunk, weight))
            grad_weight += grad
            losses.append(loss.detach())
        _add(weight, grad_weight.to(weight.dtype))
        x_BLD.backward(grad_ND.view_as(x_BLD))
        return losses

    def _move_to(self, sums: list[Tensor]) -> None:
        """Add the gradients of narrow parameters to sums in float32, and empty them."""
        gradients = [parameter.grad for parameter in self._narrow if parameter.grad is not None]
        if not sums:
            sums += [torch.zeros_like(each, dtype=torch.float32) for each in gradients]
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient
        for parameter in self._narrow:
            parameter.grad = None

    def _plain_hidden(self, tokens_BL: Tensor, rotation_LP2: Tensor) -> Tensor:
        return self._model.hidden(tokens_BL, rotation_LP2, self._kernels)

    def _plain_losses(self, x_ND: Tensor, targets_N: Tensor) -> Tensor:
        return token_losses(x_ND, self._model.head.weight, targets_N, self._kernels.project)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
