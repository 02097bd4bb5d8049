"""Anybody's optimizer class as a method: found, identified, made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch.optim import Optimizer

from descentlab.errors import ConfigError
from descentlab.optim.adam import Adam
from descentlab.optim.class_method import ClassMethod, Rest
from descentlab.optim.fingerprint import fingerprint
from descentlab.optim.plugins import check_arguments, load_class
from descentlab.optim.with_rest import WithRest

Groups = list[dict[str, Any]]
Maker = Callable[..., Optimizer]
"""A class whose constructor takes parameter groups, lr and more."""


def optimizer_class(method: ClassMethod) -> type[Optimizer]:
    """Import the class of a method, and see that it is one that a run can train with.

    Raises:
        ConfigError: if there is none, it is no optimizer of torch's kind, has no learning rate,
            lacks an argument that is given, or its code is not that of the plan.
    """
    kind = load_class(method.path, folder=method.folder)
    if not issubclass(kind, Optimizer):
        raise ConfigError(f"{method.path}: not derived from torch.optim.Optimizer, so it has no "
                          "step() to call; name a class that is")  # fmt: skip
    check_arguments(kind, method.keywords, method.path)
    if not has_argument(kind, "lr"):
        raise ConfigError(f"{method.path}: its constructor takes no lr, so nothing could schedule "
                          "its learning rate; name a class that does")  # fmt: skip
    if method.code is not None and (now := fingerprint(kind)) != method.code:
        raise ConfigError(
            f"{method.path}: its code has changed since the run was planned ({method.code} then, "
            f"{now} now); give the command again, and it plans new runs"
        )
    return kind


def has_argument(kind: type, name: str) -> bool:
    """Whether a class's constructor takes an argument of this name."""
    known = inspect.signature(kind.__init__).parameters
    return name in known or any(each.kind is each.VAR_KEYWORD for each in known.values())


def takes_only_matrices(kind: Maker, method: ClassMethod) -> bool:
    """Whether a constructor takes a matrix and refuses a vector."""

    def refuses(shape: tuple[int, ...]) -> bool:
        parameter = torch.nn.Parameter(torch.ones(shape))
        try:
            kind([{"params": [parameter]}], lr=method.lr, **method.keywords)
        except Exception:  # whatever the user's code raises
            return True
        return False

    return refuses((4,)) and not refuses((4, 3))


def build(method: ClassMethod, groups: Iterable[dict[str, Any]]) -> Optimizer:
    """Make the optimizer of a method.

    Args:
        method: with its class.
        groups: parameter groups with ``param_names``, and their own weight decay.

    Raises:
        ConfigError: as ``optimizer_class`` does; if the constructor refuses the parameters; and for
            weight decay that the class does not have.
    """
    kind = optimizer_class(method)
    own, others = (list(groups), []) if method.rest is None else _split(groups, method.rest)
    if not own:
        raise ConfigError(f"{method.path}: optimizer.rest leaves it no matrix to train")
    optimizer = _made(kind, method, own)
    if method.weight_decay > 0 and not _decays(kind, optimizer):
        raise ConfigError(
            f"{method.path}: has no weight decay, and optimizer.weight_decay is "
            f"{method.weight_decay:g}; set it to 0"
        )
    if others and method.rest is not None:
        beta = method.rest.beta
        rest = Adam(others, lr=method.lr, betas=(beta, beta))
        return WithRest(optimizer, rest, lr_ratio=method.rest.lr_ratio)
    return optimizer


def set_mode(optimizer: Optimizer, *, training: bool) -> None:
    """Tell an optimizer that has modes, as schedule-free ones have, which to be in."""
    part = optimizer.first if isinstance(optimizer, WithRest) else optimizer
    switch = getattr(part, "train" if training else "eval", None)
    if callable(switch):
        switch()


def _made(kind: Maker, method: ClassMethod, groups: Groups) -> Optimizer:
    try:
        optimizer = kind(groups, lr=method.lr, **method.keywords)
    except Exception as error:
        text = " ".join(str(error).split())
        reason = f"{type(error).__name__}: {text[:200]}"
        if method.rest is None and takes_only_matrices(kind, method):
            reason += "; it takes matrices alone, and optimizer.rest={} has Adam train the others"
        raise ConfigError(f"{method.path}: cannot be made ({reason})") from None
    set_mode(optimizer, training=True)
    return optimizer


def _decays(kind: type, optimizer: Optimizer) -> bool:
    known = inspect.signature(kind.__init__).parameters
    return "weight_decay" in optimizer.defaults or "weight_decay" in known


def _split(groups: Iterable[dict[str, Any]], rest: Rest) -> tuple[Groups, Groups]:
    """The groups of hidden matrices, and those of everything else."""
    own: Groups = []
    others: Groups = []
    for group in groups:
        named = list(zip(group["params"], group["param_names"], strict=True))
        hidden = [pair for pair in named if _is_hidden(*pair, rest)]
        remaining = [pair for pair in named if not _is_hidden(*pair, rest)]
        own += _group(group, hidden)
        others += _group(group, remaining)
    return own, others


def _group(group: Mapping[str, Any], pairs: list[tuple[Any, str]]) -> Groups:
    if not pairs:
        return []
    return [{**group, "params": [p for p, _ in pairs], "param_names": [n for _, n in pairs]}]


def _is_hidden(parameter: Any, name: str, rest: Rest) -> bool:
    return parameter.dim() == 2 and not any(fnmatchcase(name, each) for each in rest.names)
