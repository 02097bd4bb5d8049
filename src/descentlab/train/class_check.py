"""Whether a run can train with somebody's class: made, stepped, saved, restored.

Asked when a run is planned, on a model of a few dozen weights, so that a class that needs more than
gradients and ``step()``, or keeps what no checkpoint holds, is refused before anything is trained.
"""

from __future__ import annotations

import copy
import inspect

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from descentlab.errors import ConfigError, CorruptError
from descentlab.optim.any_class import optimizer_class, set_mode
from descentlab.optim.fingerprint import fingerprint, source_folder
from descentlab.optim.groups import parameter_groups
from descentlab.optim.methods import ClassMethod
from descentlab.optim.plugins import module_path
from descentlab.train import state

BEFORE, AFTER = 2, 2
"""Steps before and after the checkpoint that is tried."""

_trained: set[tuple[object, ...]] = set()
"""What has been seen to train in this process; a study has thousands of runs of one class."""


def planned(method: ClassMethod) -> ClassMethod:
    """Return the method with what its code is and where that lies, after trying it out.

    One that has that already was planned before, perhaps by another process, and stays as it is.

    Raises:
        ConfigError: for a class that a run cannot train with, saying why.
    """
    if method.code is not None:
        return method
    kind = optimizer_class(method)
    found = replace(
        method,
        path=module_path(method.path),
        code=fingerprint(kind),
        folder=source_folder(kind),
    )
    key = (kind, tuple(method.keywords), method.rest is None, method.weight_decay > 0)
    if key in _trained:
        _Trial(found)
        return found
    with torch.random.fork_rng():
        _try(found)
    _trained.add(key)
    return found


def trains(method: ClassMethod) -> bool:
    """Whether a run can train with a class at just these settings."""
    try:
        with torch.random.fork_rng():
            _try(method)
    except ConfigError:
        return False
    return True


class _Model(nn.Module):
    """What a transformer has: an embedding, a hidden matrix, a gain, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.hidden = nn.Linear(4, 8, bias=False)
        self.norm = nn.RMSNorm(8)
        self.head = nn.Linear(8, 6, bias=False)


class _Trial:
    """The class over a small model, in training."""

    def __init__(self, method: ClassMethod) -> None:
        self.method = method
        self.model = _Model()
        groups = parameter_groups(self.model, weight_decay=method.weight_decay)
        self.optimizer = method.build(groups)
        self.named: state.Named = {"optimizer": (self.optimizer, state.names_of(self.model))}

    def train(self, steps: range) -> None:
        for step in steps:
            for place, parameter in enumerate(self.model.parameters()):
                wave = torch.arange(parameter.numel(), dtype=torch.float32)
                parameter.grad = torch.sin(wave + place + 7 * step).reshape(parameter.shape)
            try:
                self.optimizer.step()
            except Exception as error:
                raise ConfigError(f"{self.method.path}: {self._why(error)}") from None
            self.optimizer.zero_grad()

    def _why(self, error: Exception) -> str:
        own = inspect.signature(type(self.optimizer).step).parameters.values()
        needed = [each.name for each in own if each.default is each.empty][1:]
        if needed:
            return (
                f"its step() needs {' and '.join(needed)}, and a run has gradients alone to give; "
                "it cannot be trained with here"
            )
        text = " ".join(str(error).split())
        return (
            f"its step() fails on plain gradients ({type(error).__name__}: {text[:160]}), so it "
            "cannot be trained with here"
        )

    def judge(self) -> None:
        """Turn to the weights that are judged, and back."""
        try:
            set_mode(self.optimizer, training=False)
            set_mode(self.optimizer, training=True)
        except Exception as error:
            raise ConfigError(
                f"{self.method.path}: its eval() or train() fails ({type(error).__name__}: {error})"
            ) from None

    def weights(self) -> list[Tensor]:
        return [each.detach().clone() for each in self.model.parameters()]


def _try(method: ClassMethod) -> None:
    """Train, save, go on; then restore into a fresh one and go on likewise."""
    whole = _Trial(method)
    whole.train(range(BEFORE))
    try:
        snapshot = copy.deepcopy(state.capture(whole.model, whole.named))
    except ConfigError as error:
        raise ConfigError(f"{method.path}: {error}") from None
    whole.train(range(BEFORE, BEFORE + AFTER))
    resumed = _Trial(method)
    try:
        state.restore(snapshot, resumed.model, resumed.named)
    except CorruptError as error:
        raise ConfigError(f"{method.path}: cannot be restored ({error})") from None
    resumed.train(range(BEFORE, BEFORE + AFTER))
    pairs = zip(whole.weights(), resumed.weights(), strict=True)
    if not all(torch.equal(one, other) for one, other in pairs):
        raise ConfigError(
            f"{method.path}: goes on otherwise after a checkpoint than without, since it keeps "
            "something outside of optimizer.state and param_groups; keep it there"
        )
    whole.judge()
