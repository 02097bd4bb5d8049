"""What optimizers cost, against closed forms; times are never judged."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from descentlab.errors import ConfigError
from descentlab.optim.cost import REFERENCE, Cost, measure, time_rounds, transformer_shapes

SHAPES = transformer_shapes(20_000)


class Loop(torch.optim.Optimizer):
    """Momentum in a loop, 40 bytes per parameter in float32."""

    def __init__(self, params, lr=1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                    state["step"] = torch.tensor(0.0)
                state["step"] += 1
                m = state["m"]
                m.mul_(0.9).add_(p.grad)  # reads m, then m and g; writes m twice
                p.sub_(group["lr"] * m)  # reads m, then p and the product; writes product and p


class Nested(Loop):
    """Keeps two copies in bfloat16 inside lists and dicts; one stands there twice."""

    def step(self, closure=None) -> Any:
        super().step()
        for p, state in self.state.items():
            extra = state.setdefault("extra", [p.detach().bfloat16(), {"k": p.detach().bfloat16()}])
            state["again"] = (extra[0],)


class Told(Loop):
    """Says itself what it moves."""

    def bytes_moved(self) -> int | None:
        return sum(5 * p.numel() for group in self.param_groups for p in group["params"])


class Silent(Loop):
    """Has the method but leaves the counting to us."""

    def bytes_moved(self) -> int | None:
        return None


class Finicky(Loop):
    """Fails at its third step."""

    def step(self, closure=None) -> Any:
        super().step()
        if any(state["step"] == 3 for state in self.state.values()):
            raise RuntimeError("no more\nof this")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("descentlab.optim.cost.SHORTEST", 0.0)


def card(*names: str) -> list[Cost]:
    return measure(names, shapes=SHAPES, device="cpu", repeats=1)


@pytest.mark.parametrize(
    ("name", "state", "moved"),
    [
        ("torch.optim.AdamW,fused=True", 8, 28),  # reads p, g, m, v; writes p, m, v
        ("torch.optim.AdamW", 8, None),
        ("torch.optim.SGD", 0, 12),  # reads p, g; writes p
        ("torch.optim.SGD,fused=True", 0, 12),
        ("torch.optim.SGD,momentum=0.9,fused=True", 4, 20),
        ("torch.optim.SGD,momentum=0.9", 4, 32),  # m·β, m + g, then p − η·m: 8 + 12 + 12
        (f"{__name__}:Loop", 4, 40),
        (f"{__name__}:Nested", 4 + 2 + 2, None),
        (f"{__name__}:Told", 4, 5),
        (f"{__name__}:Silent", 4, 40),
    ],
)
def test_bytes_are_those_on_paper(name, state, moved) -> None:
    cost = card(name)[0]
    assert cost.optimizer == name
    assert cost.state_bytes == state
    assert cost.least_bytes == 4 + 4 + 4 + 2 * state  # p, g read and p written; state both
    assert moved is None or cost.moved_bytes == moved


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Adam", 8),
        ("RMSprop", 4),
        ("Signum", 4),
        ("ConstantVariance", 4),
        ("EMASign", 4),
        ("SignSGD", 0),
        ("SGD,momentum=0.9", 4),
    ],
)
def test_own_optimizers_keep_no_more_state_than_their_rules_have(name, state) -> None:
    assert card(name)[0].state_bytes == state


def test_the_reference_is_the_last_row_once_and_the_measure_of_time() -> None:
    for names in ([], ["torch.optim.SGD"], [REFERENCE, "torch.optim.SGD", "torch.optim.SGD"]):
        costs = card(*names)
        assert [cost.optimizer for cost in costs] == [*sorted({*names} - {REFERENCE}), REFERENCE]
        assert costs[-1].ratio == 1
        assert all(cost.milliseconds > 0 and cost.ratio > 0 for cost in costs)


def test_rounds_interleave_what_is_timed() -> None:
    calls: list[str] = []
    steps = [lambda count, name=name: calls.append(name) for name in "ab"]
    rounds = time_rounds(steps, 3)
    assert "".join(calls[-6:]) == "ababab"
    assert [len(each) for each in rounds] == [2, 2, 2]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adm", "did you mean Adam?"),
        ("torch.optim.SGD,lr=-1", "cannot be made (ValueError: Invalid learning rate: -1)"),
        ("torch.optim.LBFGS", "its step fails (TypeError: "),
        ("json:JSONDecoder", "cannot be made"),
        ("builtins:list", "a list is not a torch.optim.Optimizer"),
        (f"{__name__}:Finicky", "its step fails (RuntimeError: no more)"),
    ],
)
def test_an_optimizer_that_cannot_be_measured_is_one_sentence(name, said) -> None:
    with pytest.raises(ConfigError) as caught:
        card(name)
    assert str(caught.value).startswith(name) or name == "adm"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_absent_and_too_few_rounds_are_errors() -> None:
    with pytest.raises(ConfigError, match="device: 'cuda:99' is not present here; allowed are cpu"):
        measure([], shapes=SHAPES, device="cuda:99", repeats=1)
    with pytest.raises(ConfigError, match="repeats: got 0; allowed are 1 or more"):
        measure([], shapes=SHAPES, device="cpu", repeats=0)


@pytest.mark.parametrize("shape", [(10**8, 10**9), (10**40,)])
def test_more_than_memory_holds_is_an_error(shape) -> None:
    with pytest.raises(ConfigError, match="do not fit into the memory of cpu"):
        measure([], shapes=[shape], device="cpu", repeats=1)


@pytest.mark.parametrize("parameters", [20_000, 123_456, 10**6, 10**7, 160 * 10**6, 10**10])
def test_shapes_are_a_transformers_and_as_many_as_asked_for(parameters) -> None:
    shapes = transformer_shapes(parameters)
    (vocabulary, width), head = shapes[0], shapes[-1]
    total = sum(math.prod(shape) for shape in shapes)
    assert len(shapes) == 99
    assert head == (vocabulary, width)
    assert abs(total - parameters) <= width
    assert all(width in shape for shape in shapes)
    blocks = 1 - 2 * vocabulary * width / total
    assert blocks < 0.8
    assert blocks > 0.65 or parameters < 10**7  # a narrow model can not be a bit wider


def test_too_few_parameters_are_an_error() -> None:
    with pytest.raises(ConfigError, match="got 19999; allowed are 20000 or more"):
        transformer_shapes(19_999)
