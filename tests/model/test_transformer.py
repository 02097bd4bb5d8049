"""The forward pass against NumPy, causality, and rotary positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from oracles import transformer as oracle
from torch import Tensor, nn

from descentlab.model.spec import ModelSpec
from descentlab.model.transformer import (
    RMSNorm,
    Transformer,
    _times_complex,
    _times_real,
    rotate,
    rotations,
)

SPEC = ModelSpec(
    layers=2, heads=2, width=16, vocabulary=23, hidden_multiple=8, init_std=0.4, norm_eps=1e-2
)
"""Large weights and a large epsilon, so that no term is too small to be seen."""
LENGTH = 12


def random_model(spec: ModelSpec, seed: int) -> Transformer:
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(spec, generator=generator)
    for module in model.modules():
        if isinstance(module, RMSNorm):
            nn.init.uniform_(module.weight, 0.5, 2.0, generator=generator)
    return model


def random_tokens(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SPEC.vocabulary, shape, generator=generator)


@pytest.mark.parametrize("rope_fraction", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("rope_base", [500_000.0, 10.0])
@pytest.mark.parametrize("seed", range(2))
def test_logits_equal_the_numpy_reference(
    rope_fraction: float, rope_base: float, seed: int
) -> None:
    spec = replace(SPEC, rope_fraction=rope_fraction, rope_base=rope_base)
    model = random_model(spec, seed)
    tokens_BL = random_tokens(seed, 3, LENGTH)
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    expected_BLV = [
        oracle.logits(
            weights,
            tokens_L,
            layers=spec.layers,
            heads=spec.heads,
            rope_fraction=rope_fraction,
            rope_base=rope_base,
            eps=spec.norm_eps,
        )
        for tokens_L in tokens_BL.tolist()
    ]
    with torch.no_grad():
        logits_BLV = model(tokens_BL).double().numpy()
    np.testing.assert_allclose(logits_BLV, expected_BLV, rtol=0, atol=1e-4)


@pytest.mark.parametrize("position", range(LENGTH))
def test_output_depends_on_every_past_token_and_on_no_future_one(position: int) -> None:
    model = random_model(SPEC, seed=0)
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], x_BLD: Tensor) -> None:
        embedded.append(x_BLD)

    model.embedding.register_forward_hook(keep)
    logits_BLV = model(random_tokens(0, 1, LENGTH))
    (gradient_BLD,) = torch.autograd.grad(logits_BLV[0, position].square().sum(), embedded)
    assert gradient_BLD[0, : position + 1].any(-1).all()
    assert not gradient_BLD[0, position + 1 :].any()


def test_sequences_of_a_batch_do_not_see_each_other() -> None:
    model = random_model(SPEC, seed=0)
    tokens_BL = random_tokens(0, 3, LENGTH)
    with torch.no_grad():
        together = model(tokens_BL)[1]
        alone = model(tokens_BL[1:2])[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rotated", [8, 4])
def test_rotary_scores_depend_only_on_relative_position(rotated: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q_H, k_H = torch.randn(2, 8, generator=generator)
    rotation_LP2 = rotations(LENGTH, rotated, base=10.0)
    q_LH = rotate(q_H.expand(1, 1, LENGTH, 8), rotation_LP2)[0, 0]
    k_LH = rotate(k_H.expand(1, 1, LENGTH, 8), rotation_LP2)[0, 0]
    scores_LL = (q_LH @ k_LH.T).numpy()
    by_distance = [np.diagonal(scores_LL, offset) for offset in range(-LENGTH + 1, LENGTH)]
    assert max(np.ptp(scores) for scores in by_distance) < 1e-5
    assert np.ptp([scores[0] for scores in by_distance]) > 0.1


def test_rotation_keeps_lengths_and_what_is_not_rotated() -> None:
    x_BNLH = torch.randn(2, 3, LENGTH, 8, generator=torch.Generator().manual_seed(0))
    turned_BNLH = rotate(x_BNLH, rotations(LENGTH, 4, base=500_000.0))
    torch.testing.assert_close(turned_BNLH.norm(dim=-1), x_BNLH.norm(dim=-1))
    assert torch.equal(turned_BNLH[..., 4:], x_BNLH[..., 4:])
    assert torch.equal(turned_BNLH[:, :, 0], x_BNLH[:, :, 0])  # position 0 does not turn
    assert not torch.equal(turned_BNLH[:, :, 1:, :4], x_BNLH[:, :, 1:, :4])


def test_rotation_written_out_for_the_compiler_gives_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    x_BNLH = torch.randn(2, 3, LENGTH, 8, generator=generator, requires_grad=True)
    upstream = torch.randn(2, 3, LENGTH, 8, generator=generator)
    rotation_LP2 = rotations(LENGTH, 8, base=500_000.0)
    found = []
    for times in (_times_complex, _times_real):
        turned = times(x_BNLH.unflatten(-1, (-1, 2)), rotation_LP2).flatten(-2)
        found.append((turned, *torch.autograd.grad(turned, x_BNLH, upstream)))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_tables_of_equal_lengths_are_made_once() -> None:
    model = random_model(SPEC, seed=0)
    first, again = (model.rotation(random_tokens(seed, 2, LENGTH)) for seed in (1, 2))
    assert first is again
    assert model.rotation(random_tokens(1, 2, LENGTH - 1)).shape == (LENGTH - 1, 4, 2)


def test_norm_computes_in_float32_and_gives_back_the_type_it_got() -> None:
    x_BLD = torch.full((1, 1, 4), 300.0, dtype=torch.float16)  # its square overflows float16
    norm = RMSNorm(4, eps=0.0).half()
    assert norm(x_BLD).dtype == torch.float16
    assert torch.equal(norm(x_BLD), torch.ones_like(x_BLD))


def test_positions_stay_exact_in_a_model_of_lower_precision() -> None:
    spec = ModelSpec(layers=1, heads=2, width=8, vocabulary=11, hidden_multiple=8)
    model = Transformer(spec, generator=torch.Generator().manual_seed(0)).double()
    tokens_BL = torch.arange(10)[None] % 11
    expected = model(tokens_BL).detach()
    torch.testing.assert_close(model.float()(tokens_BL).double(), expected, rtol=1e-4, atol=1e-6)
    rough = model.bfloat16()(tokens_BL).double()
    torch.testing.assert_close(rough, expected, rtol=0.05, atol=2e-3)


def test_a_head_of_odd_width_rotates_its_even_part() -> None:
    spec = ModelSpec(
        layers=1, heads=2, width=6, vocabulary=11, hidden_multiple=8, rope_fraction=0.7
    )
    model = Transformer(spec, generator=torch.Generator().manual_seed(0))
    assert spec.rotated == 2
    assert model(torch.arange(10)[None]).isfinite().all()


def test_building_a_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    Transformer(
        ModelSpec(layers=1, heads=1, width=8, vocabulary=11),
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(torch.get_rng_state(), before)
