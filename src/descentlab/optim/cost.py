"""What an optimizer costs: memory that it keeps, memory that it moves, time that it takes.

The least that a step can move is every parameter, gradient and state tensor read once and
every parameter and state tensor written once. For Adam in float32 that is 16 bytes read
and 12 written per parameter.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from descentlab.errors import ConfigError
from descentlab.optim.plugins import load_factory
from descentlab.optim.traffic import Traffic

REFERENCE = "torch.optim.AdamW,fused=True"
"""What step times are compared with: the fastest AdamW that torch has."""

Factory = Callable[..., Any]
"""Makes an optimizer of a list of parameters."""

FEWEST = 20_000
"""Parameters; a narrower transformer has no realistic shapes."""

LAYERS = 16
SHORTEST = 0.02
"""Seconds; so many steps are timed together that clock and synchronisation do not show."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one optimizer costs; bytes are per parameter, and per step where they move."""

    optimizer: str
    state_bytes: float
    moved_bytes: float
    least_bytes: float
    milliseconds: float
    """Median time of a step."""
    ratio: float
    """Median of the step's time over that of the reference in the same round."""


def transformer_shapes(parameters: int) -> list[tuple[int, ...]]:
    """Shapes of a transformer's 99 tensors, the embedding first and the head last.

    16 blocks with a gated unit take three quarters of the parameters, less in the smallest
    models, the embedding and the head the rest.

    Args:
        parameters: how many there are in all, to within the width of the model.

    Raises:
        ConfigError: for fewer than 20,000.

    >>> shapes = transformer_shapes(10_000_000)
    >>> len(shapes), shapes[:3], sum(map(math.prod, shapes))
    (99, [(7593, 192), (192,), (576, 192)], 9999936)
    """
    if parameters < FEWEST:
        raise ConfigError(f"parameters: got {parameters}; allowed are {FEWEST} or more")
    # A block has 4·D² in its attention and 3·D·F in its unit; with F = 8/3·D that is 12·D².
    width = max(8, int(math.sqrt(0.75 * parameters / (12 * LAYERS))) // 16 * 16)
    hidden = round(8 / 3 * width / 8) * 8
    block = [
        (width,),
        (3 * width, width),
        (width, width),
        (width,),
        (2 * hidden, width),
        (width, hidden),
    ]
    inner = LAYERS * sum(map(math.prod, block)) + width
    vocabulary = max(1, round((parameters - inner) / (2 * width)))
    return [(vocabulary, width), *(block * LAYERS), (width,), (vocabulary, width)]


def measure(
    names: Sequence[str], *, shapes: Sequence[tuple[int, ...]], device: str, repeats: int
) -> list[Cost]:
    """Measure optimizers side by side, the reference last.

    All step on the same float32 parameters and gradients, drawn from a seed of their own;
    only their states are theirs. Each has made five steps or more before its time counts.
    What a step moves is what its operations move; an optimizer whose kernels torch does not
    see may say it by a method ``bytes_moved``, in bytes per step, or None to be counted.

    Args:
        names: optimizers as ``load_factory`` takes them.
        shapes: shapes of the parameters.
        device: where to measure, as torch names it.
        repeats: rounds; in each, every optimizer is timed once.

    Raises:
        ConfigError: for an optimizer that cannot be imported or made, or whose step fails,
            for a device that is not present, and for fewer repeats than one.
    """
    everyone = dict.fromkeys([*(name for name in names if name != REFERENCE), REFERENCE])
    factories = {name: load_factory(name) for name in everyone}
    return measure_made(factories, shapes=shapes, device=device, repeats=repeats)


def measure_made(
    factories: Mapping[str, Factory],
    *,
    shapes: Sequence[tuple[int, ...]],
    device: str,
    repeats: int,
) -> list[Cost]:
    """The same for optimizers that are made in ways of their own.

    Args:
        factories: by name, what makes an optimizer of the list of parameters; the last of them is
            the reference.
        shapes, device, repeats: as for ``measure``.

    Raises:
        ConfigError: as ``measure`` does.
    """
    if repeats < 1:
        raise ConfigError(f"repeats: got {repeats}; allowed are 1 or more")
    place = _device(device)
    everyone = list(factories)
    parameters = _parameters(shapes, place)
    optimizers = {name: _make(name, factories[name], parameters) for name in everyone}
    bytes_of = {name: _bytes(name, optimizers[name], parameters) for name in everyone}
    steps = {name: _stepper(name, optimizers[name], place) for name in everyone}
    rounds = time_rounds([steps[name] for name in everyone], repeats)
    seconds = dict(zip(everyone, zip(*rounds, strict=True), strict=True))
    return [
        Cost(
            optimizer=name,
            **bytes_of[name],
            milliseconds=1e3 * statistics.median(seconds[name]),
            ratio=statistics.median(
                own / reference
                for own, reference in zip(seconds[name], seconds[everyone[-1]], strict=True)
            ),
        )
        for name in everyone
    ]


def time_rounds(steps: Sequence[Callable[[int], None]], repeats: int) -> list[list[float]]:
    """Seconds of one step of each, for every round; rounds interleave them.

    Args:
        steps: make so many steps and wait for their end.
        repeats: number of rounds.
    """
    counts: list[int] = []
    for step in steps:
        step(2)  # a compiled step is compiled by now
        counts.append(max(1, math.ceil(SHORTEST / _seconds(step, 1))))
    return [
        [_seconds(step, count) / count for step, count in zip(steps, counts, strict=True)]
        for _ in range(repeats)
    ]


def state_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Distinct tensors of an optimizer's state that have dimensions; counters have none."""
    found = {id(each): each for each in _tensors(dict(optimizer.state)) if each.dim() > 0}
    return list(found.values())


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _device(name: str) -> torch.device:
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):  # each backend has its own
        present = torch.accelerator.current_accelerator()
        allowed = "cpu" if present is None else f"cpu and {present.type}"
        raise ConfigError(f"device: {name!r} is not present here; allowed are {allowed}") from None


def _parameters(shapes: Sequence[tuple[int, ...]], device: torch.device) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    parameters = []
    try:
        for shape in shapes:
            drawn = torch.randn(2, *shape, generator=generator).to(device)
            parameter = torch.nn.Parameter(drawn[0].clone())
            parameter.grad = drawn[1].clone()
            parameters.append(parameter)
    except (RuntimeError, OverflowError, TypeError):  # as allocators and huge shapes raise
        raise ConfigError(
            f"{sum(map(math.prod, shapes)):.3g} parameters and their gradients do not fit into "
            f"the memory of {device}; measure fewer"
        ) from None
    return parameters


def _make(name: str, factory: Factory, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    try:
        optimizer = factory(list(parameters))
    except Exception as error:
        raise ConfigError(f"{name}: cannot be made ({_reason(error)})") from None
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"{name}: a {type(optimizer).__name__} is not a torch.optim.Optimizer; "
            "name a class that derives from it"
        )
    return optimizer


def _bytes(
    name: str, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]
) -> dict[str, float]:
    """The bytes of a cost, after two steps and in the third."""
    total = sum(parameter.numel() for parameter in parameters)
    weights = sum(parameter.nbytes for parameter in parameters)
    gradients = sum(parameter.grad.nbytes for parameter in parameters if parameter.grad is not None)
    _steps(name, optimizer, 2)
    state = sum(each.nbytes for each in state_tensors(optimizer))
    # An optimizer that compiles its step knows what that moves; None says: count for me.
    own = getattr(optimizer, "bytes_moved", lambda: None)()
    moved = _counted(name, optimizer) if own is None else own
    least = 2 * weights + gradients + 2 * state
    return {
        "state_bytes": state / total,
        "moved_bytes": moved / total,
        "least_bytes": least / total,
    }


def _counted(name: str, optimizer: torch.optim.Optimizer) -> int:
    with Traffic() as traffic:
        _steps(name, optimizer, 1)
    return traffic.read + traffic.written


def _stepper(
    name: str, optimizer: torch.optim.Optimizer, device: torch.device
) -> Callable[[int], None]:
    def steps(count: int) -> None:
        _steps(name, optimizer, count)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return steps


def _steps(name: str, optimizer: torch.optim.Optimizer, count: int) -> None:
    try:
        for _ in range(count):
            optimizer.step()
    except Exception as error:
        raise ConfigError(f"{name}: its step fails ({_reason(error)})") from None


def _seconds(step: Callable[[int], None], count: int) -> float:
    began = time.perf_counter()
    step(count)
    return time.perf_counter() - began


def _reason(error: Exception) -> str:
    """An exception's type and its first line."""
    return ": ".join(filter(None, [type(error).__name__, *str(error).strip().splitlines()[:1]]))
