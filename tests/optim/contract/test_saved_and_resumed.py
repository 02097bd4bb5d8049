"""State that is saved, loaded, copied and pickled goes on with the same bits."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from optim.contract.cases import (
    CASES,
    Case,
    assert_same_bits,
    every_implementation,
    every_method,
    every_optimizer,
    parameter,
    tensors_of,
    walk,
)
from torch import nn

from descentlab.errors import ConfigError
from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum
from descentlab.optim.methods import Implementation

TYPES = (torch.bfloat16, torch.float32, torch.float64, torch.float16)


def parameters() -> list[nn.Parameter]:
    return [parameter((2, 3), n, dtype) for n, dtype in enumerate(TYPES)]


def through_a_file(content: Any) -> Any:
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def copied(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [nn.Parameter(each.detach().clone()) for each in parameters]


@pytest.mark.parametrize("steps", range(5))
@every_implementation
@every_method
def test_resuming_changes_no_bit(case: Case, implementation: Implementation, steps: int) -> None:
    weights = parameters()
    groups = [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.2}]
    whole = case.build(groups, clip_norm=2.0, implementation=implementation)
    walk(whole, range(steps))
    saved = through_a_file(whole.state_dict())
    later = copied(weights)
    other_settings: dict[str, Any] = {"lr": 0.77, "weight_decay": 0.5}
    groups = [{"params": later[:2]}, {"params": later[2:]}]
    resumed = case.build(groups, **other_settings, implementation=implementation)
    resumed.load_state_dict(saved)
    assert_same_bits(tensors_of(resumed.state), tensors_of(whole.state))
    assert [each.dtype for each in tensors_of(resumed.state)] == [
        each.dtype for each in tensors_of(whole.state)
    ]
    assert_same_bits(walk(resumed, range(steps, steps + 3)), walk(whole, range(steps, steps + 3)))
    assert_same_bits(tensors_of(resumed.state), tensors_of(whole.state))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_setting_is_saved(case: Case) -> None:
    first, second = parameter(), parameter()
    saved = through_a_file(case.build([first]).state_dict())
    fresh = case.kind([second], lr=0.5)
    fresh.load_state_dict(saved)
    assert_same_bits(walk(fresh, range(4)), walk(case.build([first]), range(4)))


@every_optimizer
def test_state_is_wide_under_torchs_names_with_numbers_for_keys(kind: type[Any]) -> None:
    settings: dict[str, Any] = {"momentum": 0.9} if kind is SGD else {}
    optimizer = kind(parameters(), **settings)
    walk(optimizer, range(3))
    names = {
        Adam: {"exp_avg", "exp_avg_sq", "step"},
        RMSprop: {"square_avg", "step"},
        Signum: {"exp_avg"},
        ConstantVariance: {"exp_avg", "step"},
        EMASign: {"exp_avg"},
        SignSGD: set(),
        SGD: {"momentum_buffer"},
    }[kind]
    saved = optimizer.state_dict()
    assert set(saved["state"]) == (set(range(4)) if names else set())
    for place, kept in saved["state"].items():
        assert set(kept) == names
        for name, value in kept.items():
            wide = torch.promote_types(TYPES[place], torch.float32)
            assert value.dtype == (torch.float32 if name == "step" else wide)
            assert name == "step" or value.shape == (2, 3)
        assert "step" not in kept or kept["step"].item() == 3


@pytest.mark.parametrize("copying", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@every_implementation
@every_method
def test_copies_go_on_alone(
    case: Case, implementation: Implementation, copying: Callable[[Any], Any]
) -> None:
    weights = parameters()
    original = case.build(weights, clip_norm=2.0, implementation=implementation)
    walk(original, range(2))
    twin = copying(original)
    untouched = copying(original)
    assert twin.implementation == implementation
    assert_same_bits(walk(twin, range(2, 5)), walk(original, range(2, 5)))
    assert_same_bits(tensors_of(twin.state), tensors_of(original.state))
    again = walk(untouched, range(2, 5))  # what the others have done since is not seen
    assert torch.equal(again[-1], torch.cat([each.detach().flatten() for each in weights]))


def test_loading_does_not_alias_what_is_loaded() -> None:
    optimizer = Adam([parameter()])
    walk(optimizer, range(2))
    saved = optimizer.state_dict()
    fresh = Adam([parameter()])
    fresh.load_state_dict(saved)
    before = copy.deepcopy(saved)
    walk(fresh, range(3))
    assert_same_bits(saved["state"][0].values(), before["state"][0].values())
    for mine, theirs in zip(tensors_of(fresh.state), tensors_of(optimizer.state), strict=True):
        assert mine.data_ptr() != theirs.data_ptr()


def test_loading_changes_nothing_in_the_dict() -> None:
    optimizer = Adam([parameter()], lr=torch.tensor(0.5))
    walk(optimizer, range(2))
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    Adam([parameter()]).load_state_dict(saved)
    assert saved.keys() == before.keys()
    assert_same_bits(saved["state"][0].values(), before["state"][0].values())
    assert saved["param_groups"] == before["param_groups"]


@every_optimizer
def test_hooks_of_users_see_ordinary_tensors(kind: type[Any]) -> None:
    settings: dict[str, Any] = {"momentum": 0.9} if kind is SGD else {}
    optimizer = kind(parameters(), **settings)
    walk(optimizer, range(2))
    seen: list[str] = []

    def all_tensors(state: Any) -> bool:
        return all(isinstance(each, torch.Tensor) for kept in state.values() for each in kept)

    def before(opt: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
        assert all_tensors({key: kept.values() for key, kept in state_dict["state"].items()})
        seen.append("before")
        groups = [{**group, "lr": 0.123} for group in state_dict["param_groups"]]
        return {**state_dict, "param_groups": groups}

    def after(opt: Any) -> None:
        assert all_tensors({key: kept.values() for key, kept in opt.state.items()})
        seen.append("after")

    fresh = kind(parameters(), **settings)
    fresh.register_load_state_dict_pre_hook(before)
    fresh.register_load_state_dict_post_hook(after, prepend=True)
    fresh.register_load_state_dict_post_hook(after)
    fresh.load_state_dict(optimizer.state_dict())
    fresh.load_state_dict(optimizer.state_dict())
    assert seen == 2 * ["before", "after", "after"]
    assert fresh.param_groups[0]["lr"] == 0.123
    assert_same_bits(tensors_of(fresh.state), tensors_of(optimizer.state))


@every_optimizer
def test_hooks_around_steps_and_saving_run(kind: type[Any]) -> None:
    seen: list[str] = []
    optimizer = kind([parameter()])
    optimizer.register_step_pre_hook(lambda *_: seen.append("before step"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after step"))
    optimizer.register_state_dict_pre_hook(lambda *_: seen.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda *_: seen.append("after saving"))
    walk(optimizer, range(1))
    optimizer.state_dict()
    assert seen == ["before step", "after step", "before saving", "after saving"]


RULES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "Adam": (Adam, {}),
    "AdamVariance": (Adam, {"form": "variance"}),
    "RMSprop": (RMSprop, {}),
    "Signum": (Signum, {}),
    "SGD": (SGD, {"momentum": 0.9}),
}


@pytest.mark.parametrize("into", [*RULES, "SignSGD"])
@pytest.mark.parametrize("saved", RULES)
def test_state_of_another_rule_is_refused(saved: str, into: str) -> None:
    kind, settings = {**RULES, "SignSGD": (SignSGD, {})}[into]
    other = RULES[saved][0]([parameter()], **RULES[saved][1])
    walk(other, range(2))
    target = kind([parameter()], **settings)
    if kind is RULES[saved][0]:
        target.load_state_dict(other.state_dict())  # the saved settings choose the form
        walk(target, range(2, 4))
        return
    walk(target, range(1))
    before = copy.deepcopy(target.state_dict())
    with pytest.raises(ConfigError, match=r"keeps|state of another"):
        target.load_state_dict(other.state_dict())
    assert str(target.state_dict()) == str(before)


@every_optimizer
def test_other_groups_or_numbers_of_parameters_are_torchs_error(kind: type[Any]) -> None:
    saved = kind([parameter(), parameter()]).state_dict()
    two_groups = [{"params": [parameter()]}, {"params": [parameter()]}]
    with pytest.raises(ValueError, match="different number of parameter groups"):
        kind(two_groups).load_state_dict(saved)
    with pytest.raises(ValueError, match="size of optimizer's group"):
        kind([parameter()]).load_state_dict(saved)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Adam, "betas", (0.9, 1.0)),
        (Adam, "lr", float("nan")),
        (RMSprop, "alpha", -0.5),
        (Signum, "coordinate_clip", torch.tensor(-1.0)),
        (EMASign, "beta", 1.0),
        (SignSGD, "weight_decay", float("inf")),
        (SGD, "momentum", 1.5),
        (SGD, "init", "ones"),
    ],
)
def test_saved_settings_outside_their_range_are_refused(
    kind: type[Any], name: str, value: Any
) -> None:
    saved = kind([parameter()]).state_dict()
    saved["param_groups"][0][name] = value
    fresh = kind([parameter()], lr=0.5)
    with pytest.raises(ConfigError, match=name.removesuffix("s")):
        fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] == 0.5


def test_settings_that_others_keep_in_groups_survive() -> None:
    """Schedulers write into groups, and need it again when they are resumed."""
    kinds = (Adam, torch.optim.AdamW)
    rates = []
    for kind in kinds:
        first = kind([parameter()], lr=0.1, betas=(0.9, 0.9))
        torch.optim.lr_scheduler.OneCycleLR(first, max_lr=0.3, total_steps=10)
        saved = through_a_file(first.state_dict())
        second = kind([parameter()], lr=0.1, betas=(0.9, 0.9))
        second.load_state_dict(saved)
        walk(second, range(1))
        later = torch.optim.lr_scheduler.OneCycleLR(second, 0.3, total_steps=10, last_epoch=3)
        rates.append(later.get_last_lr())
    assert rates[0] == rates[1]


def test_a_failed_load_leaves_the_next_one_as_it_was() -> None:
    optimizer = Adam([parameter()])
    walk(optimizer, range(2))
    with pytest.raises(ValueError, match="groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    fresh = Adam([parameter()])
    fresh.load_state_dict(optimizer.state_dict())
    assert_same_bits(tensors_of(fresh.state), tensors_of(optimizer.state))


@every_implementation
@every_method
def test_what_was_loaded_or_copied_takes_more_groups(
    case: Case, implementation: Implementation
) -> None:
    """And is saved, loaded and shown once more."""
    original = case.build([parameter()], clip_norm=1.0, implementation=implementation)
    walk(original, range(2))
    loaded = case.build([parameter()], implementation=implementation)
    loaded.load_state_dict(original.state_dict())
    for each in (loaded, copy.deepcopy(original)):
        each.add_param_group({"params": [parameter((), 5)], "lr": 0.5})
        walk(each, range(2, 4))
        again = case.build([{"params": [parameter()]}, {"params": [parameter(())]}])
        again.load_state_dict(each.state_dict())
        assert_same_bits(tensors_of(again.state), tensors_of(each.state))
        assert again.param_groups[1]["lr"] == 0.5
        assert type(each).__name__ in repr(each)
