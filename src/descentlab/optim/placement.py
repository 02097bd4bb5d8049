"""Sharded tensors (DTensor) as the local tensors that rules, being coordinate-wise, act on."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Parameter

PLAIN = (Tensor, Parameter)


def local(tensor: Any, gradient: Any = None) -> tuple[Tensor, Any]:
    """Return this process's part of a tensor, and of a gradient placed as the tensor is."""
    if type(tensor) in PLAIN or not hasattr(tensor, "to_local"):
        return tensor, gradient
    if gradient is not None:
        if gradient.placements != tensor.placements:
            gradient = gradient.redistribute(tensor.device_mesh, tensor.placements)
        gradient = gradient.to_local()
    return tensor.to_local(), gradient


def like(parameter: Any, part: Tensor) -> Tensor:
    """Return the local part of a state as a tensor that is placed like its parameter."""
    if not hasattr(parameter, "to_local"):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )


def whole(tensor: Any) -> Tensor:
    """Return all of a sharded tensor, a plain one as it is; every process must call it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def placed_like(parameter: Any, tensor: Tensor) -> Tensor:
    """Return a whole tensor, the same in every process, sharded as a parameter is.

    What has another shape than the parameter, such as a count of steps, stays as it is.
    """
    if not hasattr(parameter, "to_local") or tensor.shape != parameter.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
