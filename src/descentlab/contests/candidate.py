"""Who enters a comparison: read from a command line, and made ready to be tuned.

A candidate is one of the laboratory's own methods by name, any class with arguments, as in
``torch.optim:AdamW,betas=(0.9,0.95)``, or a TOML file (``search_space``). Its class is imported and
tried out here, so that what cannot be trained with is refused before anything is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from descentlab.config import build
from descentlab.contests.contest import Entry
from descentlab.contests.search_space import (
    Grid,
    SearchSpace,
    axes_of,
    decay_axis,
    declared,
    default_lr,
    from_file,
)
from descentlab.errors import ConfigError, nearest
from descentlab.optim.any_class import has_argument, optimizer_class, takes_only_matrices
from descentlab.optim.class_method import ClassMethod, Rest
from descentlab.optim.methods import AnyMethod, Method
from descentlab.optim.plugins import class_and_arguments, module_path
from descentlab.sweep.study import place
from descentlab.sweep.tuning import Axis, Decays
from descentlab.train.class_check import planned, trains

KNOWN: Mapping[str, SearchSpace] = {
    "torch.optim:Muon": SearchSpace(
        # So scaled, its updates are as large as Adam's, and one learning rate does for both.
        optimizer={"arguments": {"adjust_lr_fn": "match_rms_adamw"}},
        rest=Rest(),
    )
}
"""Search spaces of classes that do not declare theirs."""
STRUCTS: Mapping[str, type[Method]] = {
    each.__struct_config__.tag: each for each in get_args(AnyMethod)
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Who enters, and what of it is tuned."""

    name: str
    entry: Entry
    centre: float | None = None
    """Where to look for its learning rates, if nobody has said which to try."""
    remarks: tuple[str, ...] = ()
    """What was decided for it, in sentences for people."""
    origin: str
    """As it was written."""

    def method(self, tuned: Mapping[str, float]) -> Method:
        """Its settings, with values for what is tuned."""
        settings = place(dict(self.entry.optimizer), tuned)
        return build(STRUCTS[settings["method"]], settings, where=self.name)

    @property
    def foreign(self) -> ClassMethod | None:
        """Its class and arguments, unless it is one of the laboratory's own methods."""
        if self.entry.optimizer["method"] != "class":
            return None
        return cast(ClassMethod, self.method({"lr": self.centre or self.lrs[0]}))

    @property
    def lrs(self) -> list[float]:
        return next((axis.values for axis in self.entry.axes if axis.name == "lr"), [1.0])

    def centred(self, lr: float, grid: Grid) -> Candidate:
        """The same with learning rates around one."""
        others = [axis for axis in self.entry.axes if axis.name != "lr"]
        axes = (grid.around(lr, alone=not others), *others)
        return replace(self, entry=replace(self.entry, axes=axes), centre=None)


def read_candidates(
    texts: Sequence[str], *, own: Mapping[str, Entry], grid: Grid
) -> list[Candidate]:
    """Read who enters.

    Args:
        texts: one for each candidate.
        own: the laboratory's methods by name, with their grids.
        grid: how fine a search without an author's word is.

    Raises:
        ConfigError: for one that is not there, is named twice, or cannot be trained with.
    """
    if len(texts) < 2:
        raise ConfigError(
            f"compare: got {', '.join(texts) or 'nobody'}; name two or more candidates, as in "
            "descent compare adam torch.optim.Muon my_file.py:MyOptimizer"
        )
    if twice := [text for place, text in enumerate(texts) if text in texts[:place]]:
        raise ConfigError(f"compare: {twice[0]} is named twice")
    return _named([_read(text, own, grid) for text in texts])


def _read(text: str, own: Mapping[str, Entry], grid: Grid) -> Candidate:
    if text in own:
        return Candidate(name=text, entry=own[text], origin=text)
    if text.endswith(".toml"):
        space = from_file(Path(text))
        if space.optimizer["method"] == "class":
            return _of_class(space, text, grid)
        return _of_ours(space, text, own)
    if not {":", ".", ","} & set(text):
        raise ConfigError(
            f"compare: no method is called {text!r}; {nearest(text, own)}; write a class as "
            "pkg.mod:Class or file.py:Class"
        )
    path, arguments = class_and_arguments(text)
    for name in ("lr", "beta"):
        if name in arguments:
            raise ConfigError(
                f"{text}: {name} is tuned; to say where, write a TOML file with [axes], or give "
                "the class an attribute search_space"
            )
    optimizer: dict[str, Any] = {"method": "class", "class": path}
    if "weight_decay" in arguments:
        optimizer["weight_decay"] = arguments.pop("weight_decay")
    return _of_class(SearchSpace(optimizer={**optimizer, "arguments": arguments}), text, grid)


def _of_ours(space: SearchSpace, text: str, own: Mapping[str, Entry]) -> Candidate:
    """One of the laboratory's methods with other settings or axes."""
    method = space.optimizer["method"]
    if method not in STRUCTS or not (space.axes or method in own):
        raise ConfigError(f"{text}: optimizer.method: got {method!r}; {nearest(str(method), own)}")
    default = own.get(method)
    axes = axes_of(space.axes, STRUCTS[method], text) or list(default.axes if default else ())
    fixed = default.optimizer if default else {}
    candidate = Candidate(
        name=space.name or Path(text).stem,
        entry=Entry(optimizer={**fixed, **space.optimizer}, axes=tuple(axes)),
        origin=text,
    )
    candidate.method({axis.name: axis.values[0] for axis in axes})  # refuses what is not allowed
    return candidate


def _of_class(space: SearchSpace, text: str, grid: Grid) -> Candidate:
    bare = build(ClassMethod, {"lr": 1.0, **space.optimizer}, where=text)
    kind = optimizer_class(bare)
    path = module_path(bare.path)
    space = space.over(declared(kind).over(KNOWN.get(path, SearchSpace())))
    remarks: list[str] = []
    settings = {"lr": default_lr(kind), "weight_decay": 0.1, **space.optimizer}
    if "weight_decay" not in space.optimizer and not has_argument(kind, "weight_decay"):
        settings["weight_decay"] = 0.0
        remarks.append("it has no weight decay, and trains without")
    trial = build(ClassMethod, {**settings, "weight_decay": 0.0}, where=text)
    matrices = space.matrices_only
    if matrices is None:
        matrices = space.rest is not None or takes_only_matrices(kind, trial)
    if matrices and "rest" not in settings:
        settings["rest"] = msgspec.to_builtins(space.rest or Rest())
    method = planned(build(ClassMethod, settings, where=text))
    if method.rest is not None:
        remarks.append(
            f"it trains the hidden matrices; Adam with β={method.rest.beta:g} trains embedding, "
            f"head and gains at {method.rest.lr_ratio:g} times its learning rate"
        )
    if method.arguments:
        said = ", ".join(f"{name}={value}" for name, value in method.keywords.items())
        remarks.append(f"with {said}")
    axes = axes_of(space.axes, ClassMethod, text)
    if not axes and (decay := decay_axis(kind, method.keywords, grid.decays)):
        axes = [decay]
        remarks.append(_what_is_tuned(decay))
    axes = [_above_zero(axis, method, remarks) for axis in axes]
    candidate = Candidate(
        name=space.name or kind.__name__,
        entry=Entry(optimizer=_without_rate(method), axes=tuple(axes)),
        origin=text,
    )
    if not any(axis.name == "lr" for axis in axes):
        candidate = replace(candidate, centre=method.lr)
        remarks.append(f"its learning rates are centred by a scan that starts at {method.lr:g}")
    return replace(candidate, remarks=tuple(remarks))


def _above_zero(axis: Axis, method: ClassMethod, remarks: list[str]) -> Axis:
    """End an axis of decays above 0 for a class that fails with a decay of 0."""
    if not isinstance(axis, Decays):
        return axis
    settings = place(msgspec.to_builtins(method), {axis.name: 0.0})
    if axis.name in ("beta1", "beta2"):  # the other one as well, whichever it is
        settings = {"beta1": 0.5, "beta2": 0.5, **settings, axis.name: 0.0}
        settings = {name: each for name, each in settings.items() if each is not None}
    if trains(build(ClassMethod, settings, where=method.path)):
        return axis
    values = [value for value in axis.values if value > 0]
    remarks.append(f"it fails with a {axis.name.removeprefix('arguments.')} of 0, so none is tried")
    return Decays(axis.name, values, least=values[0])


def _what_is_tuned(axis: Axis) -> str:
    assert isinstance(axis, Decays)
    if axis.name == "beta":
        return "one β for both its averages is tuned"
    return f"its {axis.name.removeprefix('arguments.')} is tuned"


def _without_rate(method: ClassMethod) -> dict[str, Any]:
    """The table ``optimizer`` of a planned class, all but what is always tuned."""
    settings = msgspec.to_builtins(method)
    return {name: each for name, each in settings.items() if name != "lr" and each is not None}


def _named(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Give those that share a name longer ones: with their arguments, then as they were written."""
    for longer in (_with_arguments, lambda each: each.origin):
        names = [each.name for each in candidates]
        candidates = [
            replace(each, name=longer(each)) if names.count(each.name) > 1 else each
            for each in candidates
        ]
    return list(candidates)


def _with_arguments(candidate: Candidate) -> str:
    arguments = candidate.origin.partition(",")[2]
    return f"{candidate.name} {arguments}" if arguments else candidate.name
