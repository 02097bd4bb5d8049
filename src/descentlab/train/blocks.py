"""Which block of the transformer a parameter belongs to, by its qualified name."""

from __future__ import annotations

from torch import nn

BLOCKS = ("embedding", "attention", "mlp", "norms", "head", "other")
"""In the order in which they are shown."""

_OF_MODULE = {
    "embedding": "embedding",
    "attention": "attention",
    "gated_unit": "mlp",
    "head": "head",
}


def block_of(name: str) -> str:
    """Return the block of a parameter: that of the innermost module that has one.

    A module whose name ends in ``norm`` belongs to the norms wherever it stands; what is
    in no known module is ``other``.

    >>> [block_of(f"blocks.0.{name}.weight") for name in ("attention.qkv", "attention_norm")]
    ['attention', 'norms']
    >>> block_of("adapter.weight")
    'other'
    """
    for module in reversed(name.split(".")[:-1]):
        if module.endswith("norm"):
            return "norms"
        if module in _OF_MODULE:
            return _OF_MODULE[module]
    return "other"


def by_parameter(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return each trained parameter as a block of its own, by its first name."""
    return {name: [each] for name, each in model.named_parameters() if each.requires_grad}


def by_block(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return the trained parameters of each block that has some, in the model's order.

    A tied parameter counts once, under its first name.
    """
    found: dict[str, list[nn.Parameter]] = {block: [] for block in BLOCKS}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[block_of(name)].append(parameter)
    return {block: members for block, members in found.items() if members}
