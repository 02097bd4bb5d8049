"""How a run is computed on this machine: what each ``auto`` of its execution comes to.

The answer depends on the settings and the machine alone, never on what a cache holds, so
that an interrupted run goes on as it began.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from descentlab.errors import ConfigError
from descentlab.model.attention import by_products, causal_mask, fused
from descentlab.model.kernels import Kernels
from descentlab.model.projection import by_onednn, in_bfloat16, onednn_is_faster, plain
from descentlab.train.compiler import why_not
from descentlab.train.peak import bfloat16_pays
from descentlab.train.spec import Precision, RunSpec

WORTH_COMPILING = {"cpu": 1e13, "cuda": 1e16}
"""Operations of a whole run from which compiling, for 10 to 40 s, is paid back severalfold."""
SHORT = 256
"""Tokens up to which attention over all pairs is quicker in bfloat16 on a CPU than torch's own."""
LOGITS_AT_ONCE = {"cpu": 2**26, "cuda": 2**29}
"""A chunk of the loss holds as many logits at most: 256 MiB and 2 GiB in float32."""


@dataclass(frozen=True, kw_only=True)
class Computation:
    """What is done, and what of it deserves a word."""

    precision: Precision
    compiled: bool
    attention: str
    projection: str
    activation_checkpointing: bool
    loss_chunk: int
    """Tokens whose logits are held at once."""
    tf32: bool
    notices: tuple[str, ...] = ()

    def kernels(self, length: int, device: torch.device) -> Kernels:
        """The functions of the forward pass for sequences of up to ``length`` tokens."""
        attend = fused
        if self.attention == "matmul":
            attend = partial(by_products, mask_LL=causal_mask(length, device))
        project = by_onednn if self.projection == "onednn" else plain
        if self.precision in ("bfloat16-autocast", "bfloat16-master"):
            project = in_bfloat16
        return Kernels(
            attend=attend,
            project=project,
            states=torch.bfloat16 if self.precision == "bfloat16-master" else None,
            checkpoint=self.activation_checkpointing,
        )


def computation(spec: RunSpec, device: torch.device) -> Computation:
    """Choose how to compute a run.

    Raises:
        ConfigError: if oneDNN is asked for where it cannot be had.
    """
    how = spec.execution
    compiled, notices = _compiled(spec, device)
    if spec.precision != "float32" and not bfloat16_pays(device):
        notices += (f"precision {spec.precision}: this device multiplies float32 as fast",)
    return Computation(
        precision=spec.precision,
        compiled=compiled,
        attention=_attention(spec, device),
        projection=_projection(spec, device, compiled),
        activation_checkpointing=how.activation_checkpointing,
        loss_chunk=how.loss_chunk or _even_chunk(spec, device),
        tf32=how.tf32 and device.type == "cuda",
        notices=notices,
    )


def _of(table: Mapping[str, float], device: torch.device) -> int:
    return int(table.get(device.type, table["cuda"]))


def _even_chunk(spec: RunSpec, device: torch.device) -> int:
    """Tokens of a chunk, all about equal, so that one program serves them all if compiled."""
    tokens = spec.micro_batch * spec.data.sequence_length
    most = max(1, _of(LOGITS_AT_ONCE, device) // spec.model.vocabulary)
    return math.ceil(tokens / math.ceil(tokens / most))


def _compiled(spec: RunSpec, device: torch.device) -> tuple[bool, tuple[str, ...]]:
    wanted = spec.execution.compile
    if wanted == "never":
        return False, ()
    if wanted == "auto":
        training = spec.training
        tokens = training.steps * training.batch_size * spec.data.sequence_length
        operations = tokens * spec.model.training_flops(spec.data.sequence_length)
        if operations < _of(WORTH_COMPILING, device):
            return False, ()
    reason = why_not(device)
    return reason is None, () if reason is None else (f"not compiled, so slower: {reason}",)


def _attention(spec: RunSpec, device: torch.device) -> str:
    wanted = spec.execution.attention
    if wanted != "auto":
        return wanted
    # In float32 torch's fused attention is as quick, and holds less.
    low = spec.precision != "float32"
    short = spec.data.sequence_length <= SHORT
    return "matmul" if device.type == "cpu" and low and short else "sdpa"


def _projection(spec: RunSpec, device: torch.device, compiled: bool) -> str:
    wanted = spec.execution.projection
    serves = device.type == "cpu" and spec.precision == "float32"
    if wanted == "onednn" and not (serves and onednn_is_faster() is not None):
        raise ConfigError(
            "execution.projection: onednn computes float32 on a CPU, with a torch that has it; "
            "use auto or torch"
        )
    if wanted != "auto":
        return wanted
    return "onednn" if serves and compiled and onednn_is_faster() else "torch"
