"""Everything that the next step depends on, by name, so that a run can go on to the bit.

Tensors: ``model/<parameter>``, ``optimizer/<parameter>/<name>``, the same for each shadow
optimizer of the probes, and ``rng/…`` of torch's generators, from which our own code draws
nothing, but an optimizer of the user's may. All else are plain values: the numbers of
parameter groups, and what an optimizer keeps besides tensors. The position in the data is
the step, since batches are a function of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from descentlab.errors import ConfigError, CorruptError
from descentlab.optim.placement import placed_like, whole

Named = Mapping[str, tuple[torch.optim.Optimizer, Mapping[Tensor, str]]]
"""Optimizers by name, each with the names of its parameters."""


class Snapshot(NamedTuple):
    """The state of a run after so many updates."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(each.nbytes for each in self.tensors.values())


def capture(model: nn.Module, optimizers: Named) -> Snapshot:
    """Return the state; its tensors are those in use and change with the next update."""
    tensors = {f"model/{name}": whole(each.detach()) for name, each in model.named_parameters()}
    tensors |= {f"model/{name}": each for name, each in model.named_buffers()}
    values: dict[str, Any] = {}
    for key, (optimizer, names) in optimizers.items():
        values[key] = {
            "groups": [_plain_values(f"{key} group", group) for group in _settings(optimizer)],
            "state": {},
        }
        for parameter, name, state in _states(optimizer, names):
            kept = {what: each for what, each in state.items() if isinstance(each, Tensor)}
            for what, tensor in kept.items():
                tensors[f"{key}/{name}/{what}"] = whole(tensor)
            rest = {what: each for what, each in state.items() if what not in kept}
            elsewhere = [each for each in kept if kept[each].device != parameter.device]
            values[key]["state"][name] = {
                "tensors": sorted(kept),
                "on_cpu": sorted(elsewhere),
                "values": _plain_values(f"{key} state of {name}", rest),
            }
    tensors["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng/cuda"] = torch.cuda.get_rng_state()
    return Snapshot(tensors, values)


def restore(snapshot: Snapshot, model: nn.Module, optimizers: Named) -> None:
    """Put a state back into a model and optimizers that were built from the same spec.

    Raises:
        CorruptError: for tensors that are missing, or shaped or typed otherwise.
    """
    tensors = dict(snapshot.tensors)
    with torch.no_grad():
        for name, each in [*model.named_parameters(), *model.named_buffers()]:
            _copy(each, _taken(tensors, f"model/{name}"), name)
    for key, (optimizer, names) in optimizers.items():
        saved = snapshot.values[key]
        for group, settings in zip(_settings(optimizer), saved["groups"], strict=True):
            group.update({name: _as(group.get(name), each) for name, each in settings.items()})
        optimizer.state.clear()
        by_name = {name: parameter for parameter, name in names.items()}
        for name, kept in saved["state"].items():
            parameter = by_name[name]
            state: dict[str, Any] = dict(kept["values"])
            for what in kept["tensors"]:
                tensor = _taken(tensors, f"{key}/{name}/{what}")
                device = torch.device("cpu") if what in kept["on_cpu"] else parameter.device
                state[what] = placed_like(parameter, tensor.to(device))
            optimizer.state[parameter] = state
    torch.set_rng_state(tensors.pop("rng/cpu"))
    cuda = tensors.pop("rng/cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    if tensors:
        raise CorruptError(f"checkpoint: holds {min(tensors)}, which this run does not have")


def names_of(model: nn.Module) -> dict[Tensor, str]:
    """The first name of every parameter."""
    return {parameter: name for name, parameter in model.named_parameters()}


def _settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    return optimizer.param_groups


def _states(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]
) -> Iterator[tuple[Tensor, str, dict[str, Any]]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in optimizer.state:
                yield parameter, names[parameter], optimizer.state[parameter]


def _plain_values(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold exactly.

    Raises:
        ConfigError: for anything else.
    """
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("params", "param_names"):
            continue
        parts = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, Tensor) and value.dim() == 0:
            value = value.item()
        elif not all(isinstance(each, bool | int | float | str | None) for each in parts):
            raise ConfigError(
                f"{where}: {name} is a {type(value).__name__}, which a checkpoint cannot hold; "
                "tensors, numbers, texts and lists of them are allowed"
            )
        kept[name] = value
    return kept


def _as(present: object, saved: Any) -> Any:
    """A saved value in the type of the one that it replaces."""
    if isinstance(present, tuple) and isinstance(saved, list):
        return tuple(saved)
    if isinstance(present, Tensor):
        return torch.as_tensor(saved, dtype=present.dtype, device=present.device)
    return saved


def _taken(tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise CorruptError(f"checkpoint: lacks {name}")
    return tensors.pop(name)


def _copy(target: Tensor, saved: Tensor, name: str) -> None:
    if saved.shape != target.shape or saved.dtype != target.dtype:
        raise CorruptError(
            f"checkpoint: {name} is {list(saved.shape)} of {saved.dtype}, "
            f"this run has {list(target.shape)} of {target.dtype}"
        )
    target.copy_(placed_like(target, saved.to(target.device)))
