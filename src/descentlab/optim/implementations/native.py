"""One pass over all tensors on a CPU: the update as a C program, compiled on first use.

The program is traced from the update itself, so a rule is never written twice, and rounds
as the loop does, but for roots, which torch rounds in a way of its own. It takes any list of
tensors: nothing is compiled again when shapes or the set of gradients change. Compiling
takes a fraction of a second once, and the result lies in the user's cache. Weights that it
cannot serve, such as float16 or a layout unlike their gradient's, go through the loop.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from descentlab.errors import ConfigError
from descentlab.optim.implementations import reference
from descentlab.optim.implementations.compiler import compiled
from descentlab.optim.implementations.program import TYPES, Kernel, source
from descentlab.optim.placement import PLAIN
from descentlab.optim.rule import Structure, over_replicas

if TYPE_CHECKING:
    from descentlab.optim.implementations import Item
    from descentlab.optim.rule import Update

SERIAL = 1 << 15
"""Fewer elements than this are not worth a second thread."""


@functools.cache
def available() -> bool:
    """Whether this machine has a C compiler that works."""
    try:
        require()
    except ConfigError:
        return False
    return True


def require() -> None:
    """Compile the least there is.

    Raises:
        ConfigError: if there is no C compiler, or it does not work.
    """
    compiled("void nothing(void) {}")


def serves(update: Update) -> bool:
    """Whether the update's rule can be written down as C."""
    return available() and _traceable(update.structure()[0])


def apply(update: Update, items: Sequence[Item]) -> None:
    """Update items in one pass for each pair of types; what it cannot serve, by the loop."""
    structure, numbers = update.structure()
    values = [_number(each) for each in numbers.values()]
    replicated = any(isinstance(value, Tensor) for value in values)
    left: list[Item] = []
    alike: dict[tuple[torch.dtype, torch.dtype], list[Item]] = {}
    for item in items:
        if _serves(item, replicated):
            alike.setdefault((item.weights.dtype, item.gradient.dtype), []).append(item)
        else:
            left.append(item)
    for types, group in alike.items():
        _apply(Kernel(structure, types), values, group)
    if left:
        reference.apply(update, left)


def traffic(update: Update, weights: Tensor, gradient: Tensor) -> int:
    """Return how many bytes a step reads and writes for one tensor: each array once.

    Clipping reads the gradient once more.
    """
    wide = torch.promote_types(weights.dtype, torch.float32)
    states = sum(name != "k" for name in update.rule.state._fields) * wide.itemsize
    gradients = (1 if update.clip_factor is None else 2) * gradient.element_size()
    return weights.numel() * (2 * weights.element_size() + gradients + 2 * states)


def _apply(kernel: Kernel, values: list[Any], items: list[Item]) -> None:
    replicated = any(isinstance(value, Tensor) for value in values)
    counts = "k" in kernel.structure.state._fields
    sizes: list[int] = []
    arrays: list[int] = []
    hypers: list[float] = []
    counters: list[int] = []
    for item in items:
        pointers = [each.data_ptr() for each in (item.weights, item.gradient, *item.state)]
        if counts:
            counters.append(pointers[-1])
        if not replicated:
            sizes.append(item.weights.numel())
            arrays += pointers
            hypers += values
            continue
        rows = _rows(values, item.gradient)
        size = item.weights.numel() // len(rows)
        strides = [size * each.element_size() for each in (item.weights, item.gradient)]
        strides += [size * kernel.wide.itemsize] * (len(pointers) - 2 - counts) + [0] * counts
        for replica, row in enumerate(rows):
            sizes.append(size)
            arrays += [at + replica * stride for at, stride in zip(pointers, strides, strict=True)]
            hypers += row
    _step(kernel)(
        len(sizes),
        (ctypes.c_long * len(sizes))(*sizes),
        (ctypes.c_void_p * len(arrays))(*arrays),
        (ctypes.c_double * len(hypers))(*hypers),
        torch.get_num_threads() if sum(sizes) >= SERIAL else 1,
        len(counters),
        (ctypes.c_void_p * len(counters))(*counters),
    )
    torch.autograd.graph.increment_version([item.weights for item in items])


def _number(hyper: Any) -> Any:
    return hyper.item() if isinstance(hyper, Tensor) and hyper.dim() == 0 else hyper


def _rows(values: list[Any], gradient: Tensor) -> list[list[float]]:
    """The symbols' values for each replica; a single row where none is over replicas."""
    replicas = next((value for value in values if isinstance(value, Tensor)), None)
    if replicas is None:
        return [values]
    for value in values:
        over_replicas(value, gradient)  # refuses what does not fit
    columns = [
        value.tolist() if isinstance(value, Tensor) else [value] * len(replicas) for value in values
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@functools.cache
def _traceable(structure: Structure) -> bool:
    try:
        source(Kernel(structure, (torch.float32, torch.float32)))
    except (AssertionError, AttributeError, TypeError):  # an operation that symbols lack
        return False
    return True


@functools.cache
def _step(kernel: Kernel) -> Any:
    if not _traceable(kernel.structure):
        raise ConfigError(
            f"{kernel.structure.function.__name__}: uses an operation that cannot be written as "
            'C; use implementation="reference"'
        )
    step = compiled(source(kernel)).step
    size, array = ctypes.c_long, ctypes.c_void_p
    step.argtypes = [size, array, array, array, size, size, array]
    step.restype = None
    return step


def _serves(item: Item, replicated: bool) -> bool:
    weights, gradient = item.weights, item.gradient
    types = (weights.dtype, gradient.dtype)
    if type(weights) not in PLAIN or types[0] not in TYPES or types[1] not in TYPES:
        return False
    tensors = (weights, gradient, *item.state)
    for each in tensors:
        if not each.is_contiguous():
            break
    else:
        return True
    # A replica is one stretch of memory only where all is contiguous.
    return not replicated and all(
        each.dim() == 0 or (each.stride() == weights.stride() and dense(each)) for each in tensors
    )


def dense(tensor: Tensor) -> bool:
    """Whether a tensor fills its stretch of memory, in whatever order of dimensions."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
