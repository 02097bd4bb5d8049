"""An update rule as a ``torch.optim.Optimizer``, with all that torch's users rely on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, get_args, overload

import torch
from torch import Tensor

from descentlab.errors import ConfigError, nearest
from descentlab.optim import saved_state
from descentlab.optim.clipping import clip_factor, global_norm
from descentlab.optim.hypers import check_hypers, plain
from descentlab.optim.implementations import Item, chosen, native
from descentlab.optim.methods import Implementation
from descentlab.optim.placement import like, local
from descentlab.optim.rule import Hyper, Rule, Update


class RuleOptimizer(torch.optim.Optimizer):
    """Applies a rule to every parameter that has a gradient.

    State is kept in float32, or float64 for float64 parameters, under torch's names and on
    the parameter's device; for a DTensor it is a DTensor of the same placement.
    """

    decays: ClassVar[tuple[str, ...]] = ()
    """Hyper-parameters that must lie in [0, 1); all other numbers in [0, ∞)."""

    stored: ClassVar[dict[str, str]] = {}
    """The name in ``state_dict`` of each field of the rule's state."""

    implementation: Implementation | None
    gradient_norm: Tensor | None = None
    """The global norm at the latest step, before clipping; None if nothing clips."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        implementation: Implementation | None = None,
        lr: Hyper,
        weight_decay: Hyper = 0.0,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        **of_rule: Any,
    ) -> None:
        if implementation is not None and implementation not in get_args(Implementation):
            hint = nearest(str(implementation), get_args(Implementation))
            raise ConfigError(f"implementation: got {implementation!r}; {hint}")
        if implementation == "compiled":
            native.require()
        self.implementation = implementation
        shared = {
            "lr": lr,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "clip_norm": clip_norm,
        }
        super().__init__(params, {**shared, **of_rule})

    @abstractmethod
    def rule(self, group: dict[str, Any]) -> Rule:
        """Return the rule with the hyper-parameters of a group."""

    def check_group(self, group: dict[str, Any]) -> None:
        """Refuse hyper-parameters outside their range, or that contradict one another.

        Raises:
            ConfigError: naming the hyper-parameter, its value and what is allowed.
        """
        check_hypers(self._hypers(group), self.decays)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own.

        Raises:
            ConfigError: for a hyper-parameter outside its range, and for parameters that are
                complex or listed twice.
        """
        self.check_group({**self.defaults, **param_group})
        given = param_group["params"]
        if not isinstance(given, set):  # which torch refuses
            param_group["params"] = [given] if isinstance(given, Tensor) else list(given)
            _check_parameters(param_group["params"])
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; a closure recomputes the loss first.

        Raises:
            ConfigError: for a sparse gradient, before anything has changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = [(group, _with_gradients(group["params"])) for group in self.param_groups]
        for (group, parameters), factor in zip(groups, self._factors(groups), strict=True):
            self._update(self._update_of(group, factor), parameters)
        return loss

    def bytes_moved(self) -> int | None:
        """Return how many bytes a step reads and writes, with the present gradients.

        None unless it is one compiled pass on a CPU: other steps move what torch's
        operations move.
        """
        total = 0
        for group in self.param_groups:
            update = self._update_of(group, group["clip_norm"])
            for parameter in _with_gradients(group["params"]):
                if chosen(self.implementation, parameter.device, update) is not native.apply:
                    return None
                total += native.traffic(update, *local(parameter, parameter.grad))
        return total

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load state, keeping its precision whatever the parameters' type.

        Takes what ``state_dict`` of this class gave and of its namesake in ``torch.optim``,
        ``AdamW`` for ``Adam``. Hyper-parameters that the other class does not have stay as
        they were constructed.

        Raises:
            ConfigError: for state that the rule does not keep, such as AMSGrad's, and for
                hyper-parameters outside their range.
            ValueError: for other groups than this optimizer's.
        """
        saved_state.load(self, super().load_state_dict, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "implementation": self.implementation}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.defaults.pop("differentiable", None)  # torch adds it, for optimizers of its own

    def _hypers(self, group: dict[str, Any]) -> dict[str, Any]:
        """A group without its parameters and what others keep in it, such as schedulers."""
        return {name: group[name] for name in self.defaults if name in group}

    def _factors(self, groups: list[tuple[dict[str, Any], list[Tensor]]]) -> list[Hyper | None]:
        """For each group, what its gradients are multiplied by; None where nothing clips."""
        limits = [group["clip_norm"] for group, _ in groups]
        if all(limit is None for limit in limits):
            self.gradient_norm = None
            return limits
        gradients = [each.grad for _, parameters in groups for each in parameters]
        replicas = (
            len(hyper)
            for group, _ in groups
            for hyper in (*self._hypers(group).values(), *group.get("betas", ()))
            if isinstance(hyper, Tensor) and hyper.dim() == 1
        )
        given = [each.resolve_neg() for each in gradients if each is not None]
        norm = global_norm(given, next(replicas, None))
        self.gradient_norm = norm
        return [None if limit is None else clip_factor(plain(limit), norm) for limit in limits]

    def _update_of(self, group: dict[str, Any], factor: Hyper | None) -> Update:
        hypers = {name: plain(each) for name, each in self._hypers(group).items()}
        if "betas" in hypers:
            hypers["betas"] = tuple(map(plain, hypers["betas"]))
        return Update(
            rule=self.rule(hypers),
            lr=hypers["lr"],
            weight_decay=hypers["weight_decay"],
            decoupled_weight_decay=hypers["decoupled_weight_decay"],
            maximize=hypers["maximize"],
            clip_factor=plain(factor),
        )

    def _update(self, update: Update, parameters: list[Tensor]) -> None:
        keeps = [self.stored[field] for field in update.rule.state._fields]
        items: dict[torch.device, list[Item]] = {}
        for parameter in parameters:
            state = self.state[parameter] if keeps else {}
            if keeps and not state:
                self._begin(update, parameter)
                continue
            weights, gradient = local(parameter, parameter.grad)
            tensors = [state[name] for name in keeps]
            if weights is not parameter:
                tensors = [local(each)[0] for each in tensors]
            item = Item(weights, gradient.resolve_neg(), update.rule.state(*tensors))
            items.setdefault(weights.device, []).append(item)
        for device, those in items.items():
            chosen(self.implementation, device, update)(update, those)

    def _begin(self, update: Update, parameter: Tensor) -> None:
        """Take a parameter's first step, from which its state comes."""
        weights, gradient = local(parameter, parameter.grad)
        wide = torch.promote_types(weights.dtype, torch.float32)
        new_weights, state = update(weights.to(wide), gradient.to(wide), None)
        weights.copy_(new_weights)
        for field, value in state._asdict().items():
            if isinstance(value, Tensor):  # in float64, if hyper-parameters over replicas are
                kept = like(parameter, value.to(wide))
            else:
                kept = torch.tensor(float(value), dtype=torch.float32)  # as native code reads it
            self.state[parameter][self.stored[field]] = kept


def _with_gradients(parameters: list[Tensor]) -> list[Tensor]:
    given = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.layout != torch.strided:
            raise ConfigError(
                f"gradient of a parameter of shape {list(parameter.shape)}: got layout "
                f"{gradient.layout}; dense gradients are allowed, such as nn.Embedding gives "
                "with sparse=False"
            )
        given.append(parameter)
    return given


def _check_parameters(given: list[Any]) -> None:
    """Refuse what no rule is defined for; torch checks the rest."""
    parameters = [each[1] if isinstance(each, tuple) else each for each in given]
    for parameter in parameters:
        if isinstance(parameter, Tensor) and parameter.is_complex():
            raise ConfigError(
                f"parameter of shape {list(parameter.shape)}: got {parameter.dtype}; real "
                "numbers are allowed, so optimize a real parameter and view it as complex"
            )
    if len({id(each) for each in parameters}) < len(parameters):
        raise ConfigError("params: a parameter is listed twice; each is allowed once")
